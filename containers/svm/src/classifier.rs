//! Both stages in one precision: a batch of inputs to classes.

use model::{Batch, InputError};
use ndarray::Array2;
use rayon::ThreadPool;

use crate::{artifact::Contents, kernel::KernelSum, products::Precision, svc};

/// Both stages, ready to compute with.
pub(crate) struct Classifier<F: Precision> {
    pca: KernelSum<F>,
    svm: KernelSum<F>,
    classes: usize,
}

impl<F: Precision> Classifier<F> {
    /// For the threads of the pool that this is called in.
    pub(crate) fn new(contents: &Contents) -> Classifier<F> {
        Classifier {
            pca: KernelSum::new(contents.pca.to()),
            svm: KernelSum::new(contents.svm.to()),
            classes: contents.labels.len(),
        }
    }

    /// Features of one input.
    pub(crate) fn width(&self) -> usize {
        self.pca.width()
    }

    /// The class of every input, computed by these threads.
    ///
    /// # Errors
    /// For an input of another type or length, and for one that the arithmetic breaks down at.
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
        // Rows are independent: what a refused one holds reaches no other.
        let decisions = threads.install(|| self.svm.apply(self.pca.apply(inputs)));
        let rows = checks.into_iter().zip(decisions.rows()).enumerate();
        rows.map(|(index, (check, row))| {
            check?;
            match row.iter().any(|decision| decision.is_nan()) {
                true => Err(self.refusal(batch, index)),
                false => Ok(svc::vote(row, self.classes)),
            }
        })
        .collect()
    }

    /// Why an input of the right length has no label: what it holds is not finite, or its squares overflow.
    fn refusal(&self, batch: &Batch<'_>, index: usize) -> InputError {
        let mut row = vec![F::zero(); self.width()];
        if let Err(error) = batch.copy_row(index, &mut row) {
            return error;
        }
        let sizes = row.iter().map(|value| value.abs()).enumerate();
        // NaN is the largest.
        let worst = sizes.reduce(
            |worst, other| match worst.1.is_nan() || other.1 <= worst.1 {
                true => worst,
                false => other,
            },
        );
        let at = worst.map_or(0, |(at, _)| at);
        InputError(format!(
            "value {at} is {}: values must be numbers whose squares can be summed in {}",
            row[at],
            F::NAME
        ))
    }
}
