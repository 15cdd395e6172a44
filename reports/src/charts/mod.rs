//! Charts of a record, as SVG in the page, and as SVG and PNG files.
//!
//! **What it is for.** [`figures`] makes the charts that a record has material
//! for; each can be drawn for a page (wide or narrow), for a file of its own,
//! and as pixels. Plotters draws them all.
//!
//! **What it never does.** It puts simulated and measured figures into one
//! picture; it judges nothing ([`crate::findings`] says what a chart shows); it
//! opens no file and uses no font of the machine.
//!
//! **Where to start reading.** `build.rs` for which charts there are, `lines.rs`
//! for the one that most of them are, then `canvas.rs`.

mod bars;
mod bitmap;
mod build;
mod canvas;
mod lines;
pub(crate) mod palette;
pub(crate) mod scale;
pub(crate) mod unit;
mod vector;

use std::cell::RefCell;
use std::rc::Rc;

use plotters::drawing::IntoDrawingArea;
use serde_json::{Value, json};

use crate::clean;
use crate::findings::cast::Cast;
use crate::markup::attribute;
use crate::record::{Mode, Record};

use bars::Bars;
use canvas::{Brush, Canvas, Type};
use lines::Lines;
use palette::Tone;

/// Why a chart was not drawn.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChartError {
    /// The backend failed.
    #[error("the chart cannot be drawn: {0}")]
    Drawing(String),
}

impl ChartError {
    fn drawing(error: impl std::fmt::Display) -> ChartError {
        ChartError::Drawing(error.to_string())
    }
}

/// Where a chart will stand.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// In a page on a screen or on paper; the page has its title.
    Wide,
    /// In a page on a phone.
    Narrow,
    /// By itself, with its title and what it needs to be understood.
    File,
}

/// A chart: what it shows, and how it is drawn.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Its name in files and pages, such as `percentiles-sim`.
    pub id: String,
    /// What its figures are.
    pub mode: Mode,
    /// What is drawn, such as `Latency over time`.
    pub topic: &'static str,
    /// What it shows, made from the data.
    pub title: String,
    /// Marks that need words, a sentence each.
    pub notes: Vec<String>,
    drawing: Drawing,
}

#[derive(Clone, Debug)]
enum Drawing {
    Lines(Lines),
    Bars(Bars),
}

/// A rectangle in pixels.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

/// All charts that `record` has material for, in the order of the page.
pub fn figures(record: &Record) -> Vec<Figure> {
    build::figures(record, &Cast::of(record))
}

const TITLE: f64 = 17.0;
const NOTE: f64 = 12.0;
/// Room on all sides of a chart in a file.
const PAD: f64 = 20.0;

impl Figure {
    const fn width(form: Form) -> f64 {
        match form {
            Form::Wide => 860.0,
            Form::Narrow => 358.0,
            Form::File => 900.0,
        }
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self, form: Form) -> (f64, f64) {
        let frame = self.frame(form);
        let below = match form {
            Form::File => self.file_notes().len() as f64 * (NOTE + 6.0) + PAD,
            _ => 0.0,
        };
        (Figure::width(form), (frame.bottom + below).round())
    }

    fn frame(&self, form: Form) -> Frame {
        let height = match &self.drawing {
            Drawing::Lines(_) if form == Form::Narrow => 280.0,
            Drawing::Lines(_) => 350.0,
            Drawing::Bars(bars) => bars.height(form == Form::Narrow),
        };
        let width = Figure::width(form);
        match form {
            Form::File => {
                let top = PAD + self.title_lines().len() as f64 * (TITLE + 5.0) + 30.0;
                Frame { left: PAD, top, right: width - PAD, bottom: top + height }
            }
            _ => Frame { left: 0.0, top: 0.0, right: width, bottom: height },
        }
    }

    fn title_lines(&self) -> Vec<String> {
        let columns = (Figure::width(Form::File) - 2.0 * PAD) / (TITLE * 0.62);
        clean::wrap(&self.title, columns as usize)
    }

    fn file_notes(&self) -> Vec<String> {
        let columns = (Figure::width(Form::File) - 2.0 * PAD) / (NOTE * 0.57);
        self.notes.iter().flat_map(|note| clean::wrap(note, columns as usize)).collect()
    }

    /// What the figures are and how they are drawn, for those who do not see it.
    pub fn description(&self) -> String {
        let what = match &self.drawing {
            Drawing::Lines(lines) => lines.description(),
            Drawing::Bars(bars) => bars.description(),
        };
        format!("{}, {}. {what}", self.topic, mode_words(self.mode))
    }

    pub(crate) fn draw(&self, form: Form, brush: &mut dyn Brush) {
        let frame = self.frame(form);
        let narrow = form == Form::Narrow;
        if form == Form::File {
            let mut y = PAD + TITLE / 2.0;
            for line in self.title_lines() {
                brush.text(&line, (PAD, y), Type::plain(TITLE, Tone::Ink).bold());
                y += TITLE + 5.0;
            }
            let label = format!("{}: {}", self.topic, mode_words(self.mode));
            brush.text(&label, (PAD, y + 2.0), Type::plain(NOTE + 1.0, Tone::Dim));
            let mut y = frame.bottom + NOTE;
            for line in self.file_notes() {
                brush.text(&line, (PAD, y), Type::plain(NOTE, Tone::Dim));
                y += NOTE + 6.0;
            }
        }
        match &self.drawing {
            Drawing::Lines(lines) => lines.draw(frame, narrow, brush),
            Drawing::Bars(bars) => bars.draw(frame, narrow, brush),
        }
    }

    /// Elements of SVG without the root.
    fn elements(&self, form: Form) -> Result<String, ChartError> {
        let out = Rc::new(RefCell::new(String::new()));
        let (width, height) = self.size(form);
        let backend = vector::Vector::new(out.clone(), width, height);
        let mut canvas = Canvas::new(backend.into_drawing_area(), vector::SCALE, Some(out.clone()));
        self.draw(form, &mut canvas);
        canvas.finish()?;
        Ok(out.take())
    }

    /// An `svg` element for a page, whose style sheet has the colours.
    pub(crate) fn inline(&self, form: Form) -> Result<String, ChartError> {
        let (width, height) = self.size(form);
        let name = if form == Form::Narrow { "narrow" } else { "wide" };
        let id = &self.id;
        Ok(format!(
            "<svg class=\"chart {name}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-{name}-t {id}-{name}-d\"><title id=\"{id}-{name}-t\">{}</title>\
             <desc id=\"{id}-{name}-d\">{}</desc>{}</svg>",
            attribute(&self.title),
            attribute(&self.description()),
            self.elements(form)?
        ))
    }

    /// A file of its own, for light and dark grounds.
    ///
    /// # Errors
    /// [`ChartError`] when it cannot be drawn.
    pub fn svg(&self) -> Result<String, ChartError> {
        let (width, height) = self.size(Form::File);
        Ok(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"t d\">\n\
             <title id=\"t\">{}</title>\n<desc id=\"d\">{}</desc>\n<style>\
             svg{{{}font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif;\
             background:var(--paper)}}@media (prefers-color-scheme:dark){{svg{{{}}}}}{}{}</style>\n\
             {}\n</svg>\n",
            attribute(&self.title),
            attribute(&self.description()),
            palette::variables(false),
            palette::variables(true),
            palette::rules(),
            SHAPES,
            self.elements(Form::File)?
        ))
    }

    /// The figure as a PNG, light.
    ///
    /// # Errors
    /// [`ChartError`] when it cannot be drawn.
    pub fn png(&self) -> Result<Vec<u8>, ChartError> {
        bitmap::png(self)
    }

    /// What the page's script needs to say what is under a pointer.
    pub(crate) fn data(&self) -> Value {
        let plot = |form: Form| {
            let narrow = form == Form::Narrow;
            let frame = self.frame(form);
            let plot = match &self.drawing {
                Drawing::Lines(lines) => lines.plot(frame, narrow),
                Drawing::Bars(_) => frame,
            };
            json!([plot.left, plot.top, plot.right, plot.bottom])
        };
        let mut value = match &self.drawing {
            Drawing::Lines(lines) => lines.data(),
            Drawing::Bars(bars) => bars.data(),
        };
        if let Some(object) = value.as_object_mut() {
            object.insert("wide".to_owned(), plot(Form::Wide));
            object.insert("narrow".to_owned(), plot(Form::Narrow));
        }
        value
    }

    /// The figures as a table: headings, then rows.
    pub(crate) fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        match &self.drawing {
            Drawing::Lines(lines) => lines.table(),
            Drawing::Bars(bars) => bars.table(),
        }
    }
}

/// What shapes of a chart look like apart from their colour.
pub(crate) const SHAPES: &str = "polyline{fill:none;stroke-linejoin:round;stroke-linecap:round}\
    .dash polyline{stroke-dasharray:5 4;stroke-linecap:butt}";

/// What the figures of a mode are, in words for a picture.
pub(crate) const fn mode_words(mode: Mode) -> &'static str {
    match mode {
        Mode::Sim => "simulated, in virtual time",
        Mode::Embedded => "measured, embedded: in one process, without a network",
        Mode::Wire => "measured, wire: the same nodes behind TCP",
        Mode::Real => "measured, real: against the makers' own broker",
    }
}
