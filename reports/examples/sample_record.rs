//! Prints a record made by hand, or a page of it: what pages are looked at,
//! timed and driven with. `large` is four contenders in two modes over ten
//! minutes.
//!
//! `cargo run -p lab-reports --example sample_record [large|plain|single|hostile|nulls|empty|FILE] [FORMAT]`

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::Write;

use lab_reports::record::Record;
use lab_reports::render::{Format, Style, render};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let which = arguments.next().unwrap_or_else(|| "large".to_owned());
    let format: Format = arguments.next().unwrap_or_else(|| "json".to_owned()).parse()?;
    let record = match which.as_str() {
        "large" => common::large::record(),
        "plain" => common::sample(),
        "single" => common::single(),
        "hostile" => common::hostile(),
        "nulls" => common::nulls(),
        "empty" => Record::default(),
        file => Record::read(&std::fs::read_to_string(file)?)?,
    };
    let text = render(&record, format, Style::default())?;
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
