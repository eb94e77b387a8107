//! Classifies a batch of inputs with both stages, in one precision.

use model::{Batch, InputError};
use ndarray::Array2;
use rayon::ThreadPool;

use crate::{artifact::Contents, kernel::KernelSum, products::Precision, svc};

/// Both stages, prepared for prediction.
pub(crate) struct Pipeline<F: Precision> {
    pca: KernelSum<F>,
    svm: KernelSum<F>,
    classes: usize,
}

impl<F: Precision> Pipeline<F> {
    /// Prepares both stages for the threads of the current pool.
    pub(crate) fn new(contents: &Contents) -> Pipeline<F> {
        Pipeline {
            pca: KernelSum::new(contents.pca.to()),
            svm: KernelSum::new(contents.svm.to()),
            classes: contents.labels.len(),
        }
    }

    /// Returns the number of features of one input.
    pub(crate) fn width(&self) -> usize {
        self.pca.width()
    }

    /// Returns the class of every input, computed on these threads.
    ///
    /// # Errors
    /// If an input has another type or length, or its projections are NaN.
    pub(crate) fn classify(
        &self,
        batch: &Batch<'_>,
        threads: &ThreadPool,
    ) -> Vec<Result<usize, InputError>> {
        let mut inputs = Array2::zeros((batch.len(), self.width()));
        let rows = inputs.rows_mut().into_iter().enumerate();
        let checks: Vec<_> = rows
            .map(|(index, row)| {
                batch.copy_row::<F>(index, row.into_slice().expect("rows are contiguous"))
            })
            .collect();
        // Rows are independent, so an invalid row does not affect others.
        let decisions = threads.install(|| self.svm.apply(self.pca.apply(inputs)));
        let rows = checks.into_iter().zip(decisions.rows()).enumerate();
        rows.map(|(index, (check, row))| {
            check?;
            match row.iter().any(|decision| decision.is_nan()) {
                true => Err(self.explain_nan(batch, index)),
                false => Ok(svc::vote(row, self.classes)),
            }
        })
        .collect()
    }

    /// Explains why an input of the right length has no label: a value is not finite, or its square
    /// overflows.
    fn explain_nan(&self, batch: &Batch<'_>, index: usize) -> InputError {
        let mut row = vec![F::zero(); self.width()];
        if let Err(error) = batch.copy_row(index, &mut row) {
            return error;
        }
        let sizes = row.iter().map(|value| value.abs()).enumerate();
        // NaN counts as the largest.
        let worst = sizes.reduce(
            |worst, other| match worst.1.is_nan() || other.1 <= worst.1 {
                true => worst,
                false => other,
            },
        );
        let at = worst.map_or(0, |(at, _)| at);
        InputError(format!(
            "value {at} is {}: values must be finite, and the sum of their squares within {}",
            row[at],
            F::NAME
        ))
    }
}
