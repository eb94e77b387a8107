//! Confusion matrix of a classifier.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use model::{Accuracy, Output};

/// Maximum number of classes for which the whole matrix is printed.
const COLUMNS: usize = 16;
/// Number of worst confusions that are listed for more classes.
const WORST: usize = 10;

/// Counts of predicted classes for each true class.
#[derive(Debug)]
pub(crate) struct Confusion<'a> {
    classes: &'a [String],
    /// Count by true and predicted class; pairs with a count of 0 are missing.
    counts: BTreeMap<(usize, usize), u64>,
}

impl<'a> Confusion<'a> {
    /// Counts the outputs for inputs of these true classes.
    ///
    /// # Errors
    /// Fails if an output names none of the classes.
    pub(crate) fn count(
        classes: &'a [String],
        labels: &[usize],
        outputs: &[Output],
    ) -> anyhow::Result<Confusion<'a>> {
        let mut counts = BTreeMap::new();
        for (&label, output) in labels.iter().zip(outputs) {
            let named = output.class(classes)?;
            let named = classes
                .iter()
                .position(|class| class == named)
                .with_context(|| {
                    format!("the model answers {named:?}, which is none of its classes")
                })?;
            *counts.entry((label, named)).or_default() += 1;
        }
        Ok(Confusion { classes, counts })
    }

    pub(crate) fn accuracy(&self) -> Accuracy {
        let right = self
            .counts
            .iter()
            .filter(|((class, named), _)| class == named);
        Accuracy {
            right: right.map(|(_, count)| count).sum(),
            of: self.counts.values().sum(),
        }
    }

    fn get(&self, class: usize, named: usize) -> u64 {
        self.counts
            .get(&(class, named))
            .copied()
            .unwrap_or_default()
    }

    fn of_class(&self, class: usize) -> u64 {
        let row = self.counts.range((class, 0)..=(class, usize::MAX));
        row.map(|(_, count)| count).sum()
    }

    /// The whole matrix: a row per true class, a column per predicted class.
    fn matrix(&self) -> Table {
        let numbers = 1..=self.classes.len();
        let header = ["", "class"].map(str::to_owned).into_iter();
        let mut table = table(header.chain(numbers.map(|number| number.to_string())));
        for (class, name) in self.classes.iter().enumerate() {
            let counts = (0..self.classes.len()).map(|named| match self.get(class, named) {
                0 => ".".to_owned(),
                count => count.to_string(),
            });
            let head = [(class + 1).to_string(), name.clone()];
            table.add_row(head.into_iter().chain(counts));
        }
        numbers_to_the_right(&mut table, |column| column != 1);
        table
    }

    /// The most frequent confusions.
    fn worst(&self) -> Table {
        let confused = self
            .counts
            .iter()
            .filter(|((class, named), _)| class != named);
        let mut confused: Vec<_> = confused.collect();
        confused.sort_by_key(|&(pair, &count)| (Reverse(count), pair));
        let mut table = table(["times", "of", "class", "was named"].map(str::to_owned));
        for (&(class, named), count) in confused.into_iter().take(WORST) {
            let of = self.of_class(class);
            table.add_row([
                count.to_string(),
                of.to_string(),
                self.classes[class].clone(),
                self.classes[named].clone(),
            ]);
        }
        numbers_to_the_right(&mut table, |column| column < 2);
        table
    }
}

/// Prints the accuracy, and below it the confusions, if any.
impl fmt::Display for Confusion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accuracy = self.accuracy();
        let Accuracy { right, of } = accuracy;
        writeln!(
            f,
            "  {:10} {:.1} %: {right} of {of} held-out pictures",
            "accuracy",
            100.0 * accuracy.share()
        )?;
        if right == of {
            return Ok(());
        }
        let (title, table) = match self.classes.len() {
            ..=COLUMNS => ("rows: true class; columns: predicted class", self.matrix()),
            _ => ("the worst", self.worst()),
        };
        writeln!(f, "  {:10} {title}", "confusion")?;
        table.lines().try_for_each(|line| writeln!(f, "    {line}"))
    }
}

fn table(header: impl IntoIterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    table
}

fn numbers_to_the_right(table: &mut Table, is_number: impl Fn(usize) -> bool) {
    for (index, column) in table.column_iter_mut().enumerate() {
        if is_number(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("c{class}")).collect()
    }

    fn named(classes: &[usize]) -> Vec<Output> {
        let name = |class: &usize| Output::Text(format!("c{class}"));
        classes.iter().map(name).collect()
    }

    #[test]
    fn correct_predictions_are_on_the_diagonal() {
        let classes = names(3);
        let outputs = named(&[0, 0, 2, 1, 2]);
        let confusion = Confusion::count(&classes, &[0, 0, 0, 1, 2], &outputs).unwrap();
        assert_eq!(confusion.accuracy(), Accuracy { right: 4, of: 5 });
        let text = confusion.to_string();
        assert!(text.contains("80.0 %: 4 of 5"), "{text}");
        let row = text.lines().find(|line| line.contains("c0")).unwrap();
        assert_eq!(row.replace(' ', ""), "|1|c0|2|.|1|");
    }

    #[test]
    fn many_classes_list_only_the_worst_confusions() {
        let classes = names(40);
        let labels: Vec<_> = (0..40).chain([7, 7]).collect();
        let mut answers = labels.clone();
        (answers[3], answers[40], answers[41]) = (4, 9, 9);
        let confusion = Confusion::count(&classes, &labels, &named(&answers)).unwrap();
        let text = confusion.to_string().replace(' ', "");
        let rows: Vec<_> = text.lines().skip(4).collect();
        assert_eq!(rows, ["|2|3|c7|c9|", "|1|1|c3|c4|"]);
    }

    #[test]
    fn a_perfect_classifier_shows_no_confusions() {
        let classes = names(2);
        let confusion = Confusion::count(&classes, &[0, 1], &named(&[0, 1])).unwrap();
        assert_eq!(confusion.to_string().lines().count(), 1);
    }

    #[test]
    fn an_output_outside_the_classes_is_an_error() {
        let classes = names(2);
        let error = Confusion::count(&classes, &[0], &named(&[5])).unwrap_err();
        assert!(
            error.to_string().contains("\"c5\", which is none"),
            "{error}"
        );
    }
}
