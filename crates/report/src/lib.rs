//! Reports: the view of a sweep while it runs, and its results afterwards.
//!
//! - [`view()`]: a [`View`] of a running sweep: the live one ([`live`]), or plain lines.
//!   [`Outline`], [`NextTrial`]: its input.
//! - [`print_summary()`]: answer, table, reasons and Pareto-optimal configurations of a sweep.
//!   [`write()`]: the page, the CSV file and the Markdown file of a folder.
//! - [`regenerate()`], [`compare()`], [`import()`]: `driver report`, `compare` and `import`.
//! - [`survey()`], [`self_test()`]: the tables of `driver survey` and `driver self-test`.
//! - [`print()`], [`note()`]: documents go to standard output, remarks to standard error.
//!
//! All of it but the page is ASCII, except for the live view in a UTF-8 locale and for names from
//! outside. The crate depends on results only, and not on how they are measured.

mod choose_view;
mod compare;
mod config_row;
mod csv;
mod document;
mod error;
mod facts;
mod files;
mod import;
pub mod live;
mod locale;
mod names;
mod output;
mod page;
mod plain;
mod reasons;
mod regenerate;
mod self_test;
mod summary;
mod survey;
mod table;
mod text;
mod view;

pub use choose_view::view;
pub use compare::{Compare, Compared, Limits, compare};
pub use document::print_summary;
pub use error::Error;
pub use files::{write, write_all};
pub use import::import;
pub use output::{check_written, note, print};
pub use plain::Plain;
pub use regenerate::regenerate;
pub use self_test::{Ceiling, self_test};
pub use survey::{ModelSweep, Surveyed, survey};
pub use text::{plural, rounded};
pub use view::{NextTrial, Outline, View};
