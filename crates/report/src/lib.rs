//! The report: what a person sees of a sweep, while it runs and afterwards.
//!
//! - [`view()`]: a [`View`] of a sweep that runs: the live one ([`live`]), or plain lines. [`Outline`], [`NextTrial`]:
//!   what it is told.
//! - [`table()`]: the table of all points. [`write()`]: the page, the CSV file and the Markdown file of a folder.
//! - [`regenerate()`], [`compare()`], [`import()`]: what `driver report`, `compare` and `import` do.
//! - [`survey()`], [`self_test()`]: the tables of these.
//! - [`print()`], [`note()`]: documents go to standard output, remarks to standard error.
//!
//! The crate knows results and nothing else: neither how they are measured nor what was asked for.

mod compare;
mod csv;
mod error;
mod files;
mod import;
pub mod live;
mod names;
mod output;
mod page;
mod plain;
mod progress;
mod regenerate;
mod self_test;
mod summary;
mod survey;
mod table;
mod text;
mod view;

pub use compare::{Compare, Compared, Limits, compare};
pub use error::Error;
pub use files::{write, write_all};
pub use import::import;
pub use output::{note, print, printed};
pub use plain::Plain;
pub use progress::view;
pub use regenerate::regenerate;
pub use self_test::{Ceiling, self_test};
pub use survey::{Surveyed, Swept, survey};
pub use table::table;
pub use text::{plural, rounded};
pub use view::{NextTrial, Outline, View};
