//! A surface that charts draw on, whatever becomes of it.
//!
//! Plotters draws; this adds what its elements lack: dashes, groups that a page
//! can address, and coordinates with a fraction.

use std::cell::RefCell;
use std::rc::Rc;

use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::prelude::{Color, DrawingBackend, FontStyle, IntoFont};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{RGBAColor, ShapeStyle, TextStyle};

use super::ChartError;
use super::palette::Tone;
use crate::clean;

/// How a text stands.
#[derive(Copy, Clone)]
pub struct Type {
    /// Pixels.
    pub size: f64,
    /// Whether it is bold.
    pub bold: bool,
    /// Its colour.
    pub tone: Tone,
    /// What its place is to it: left, middle or right.
    pub anchor: HPos,
}

impl Type {
    /// Plain text to the right of its place.
    pub const fn plain(size: f64, tone: Tone) -> Type {
        Type { size, bold: false, tone, anchor: HPos::Left }
    }

    /// The same, standing differently.
    pub const fn at(self, anchor: HPos) -> Type {
        Type { anchor, ..self }
    }

    /// The same in bold.
    pub const fn bold(self) -> Type {
        Type { bold: true, ..self }
    }

    /// About how wide `text` will be; generous, since fonts differ.
    pub fn width(&self, text: &str) -> f64 {
        let wider = if self.bold { 1.12 } else { 1.0 };
        text.chars().map(ems).sum::<f64>() * self.size * wider
    }
}

/// The width of a letter, in sizes of the type: that of the widest of the usual
/// fonts, so that what is reserved is enough for each.
fn ems(c: char) -> f64 {
    match c {
        ' ' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | 'i' | 'j' | 'l' | 'I' => 0.33,
        '(' | ')' | '[' | ']' | 'f' | 't' | 'r' | '-' | '/' => 0.41,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' => 1.0,
        '=' | '+' | '<' | '>' | '~' => 0.84,
        'A'..='Z' => 0.7,
        _ => 0.64 * clean::width(c.encode_utf8(&mut [0; 4])) as f64,
    }
}

/// What charts draw with. Places are pixels from the upper left corner. The
/// first error is kept and ends all drawing.
pub trait Brush {
    /// A line through `points`.
    fn line(&mut self, points: &[(f64, f64)], tone: Tone, width: f64, dashed: bool);
    /// A rectangle from corner to corner, as opaque as `alpha`.
    fn rect(&mut self, from: (f64, f64), to: (f64, f64), tone: Tone, alpha: f64);
    /// A ring, filled with paper.
    fn ring(&mut self, at: (f64, f64), radius: f64, tone: Tone);
    /// A text whose middle is as high as `at`.
    fn text(&mut self, text: &str, at: (f64, f64), style: Type);
    /// Begins what belongs to a contender (by its number); for pages.
    fn open(&mut self, who: usize, class: &str);
    /// Ends what [`Brush::open`] began.
    fn close(&mut self);
}

/// A [`Brush`] over any backend of plotters.
pub struct Canvas<DB: DrawingBackend> {
    area: DrawingArea<DB, Shift>,
    /// Backend units a pixel.
    scale: f64,
    /// Where a page's groups go; `None` where there are none.
    groups: Option<Rc<RefCell<String>>>,
    problem: Option<ChartError>,
}

impl<DB: DrawingBackend> Canvas<DB> {
    /// Draws on `area`, which has `scale` units a pixel.
    pub fn new(
        area: DrawingArea<DB, Shift>,
        scale: f64,
        groups: Option<Rc<RefCell<String>>>,
    ) -> Canvas<DB> {
        Canvas { area, scale, groups, problem: None }
    }

    /// Ends the drawing.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub fn finish(self) -> Result<(), ChartError> {
        match self.problem {
            Some(problem) => Err(problem),
            None => self.area.present().map_err(ChartError::drawing),
        }
    }

    fn unit(&self, (x, y): (f64, f64)) -> (i32, i32) {
        // `as` keeps to the range of the type, and takes NaN for 0.
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn keep<E: std::error::Error + Send + Sync>(
        &mut self,
        result: Result<(), plotters::drawing::DrawingAreaErrorKind<E>>,
    ) {
        if let Err(error) = result {
            self.problem.get_or_insert_with(|| ChartError::drawing(error));
        }
    }

    fn path(&mut self, points: &[(f64, f64)], style: ShapeStyle) {
        let points: Vec<(i32, i32)> = points.iter().map(|point| self.unit(*point)).collect();
        let result = self.area.draw(&PathElement::new(points, style));
        self.keep(result);
    }

    fn group(&self, text: &str) {
        if let Some(groups) = &self.groups {
            groups.borrow_mut().push_str(text);
        }
    }
}

fn colour(tone: Tone, alpha: f64) -> RGBAColor {
    tone.light().mix(alpha)
}

impl<DB: DrawingBackend> Brush for Canvas<DB> {
    fn line(&mut self, points: &[(f64, f64)], tone: Tone, width: f64, dashed: bool) {
        let stroke_width = (width * self.scale).round().max(1.0) as u32;
        let style = ShapeStyle { color: colour(tone, 1.0), filled: false, stroke_width };
        if points.len() < 2 {
            return;
        }
        if !dashed {
            return self.path(points, style);
        }
        if self.groups.is_some() {
            self.group("<g class=\"dash\">");
            self.path(points, style);
            self.group("</g>");
            return;
        }
        for piece in dashes(points, 5.0, 4.0) {
            self.path(&piece, style);
        }
    }

    fn rect(&mut self, from: (f64, f64), to: (f64, f64), tone: Tone, alpha: f64) {
        let corners = [self.unit(from), self.unit(to)];
        let result = self.area.draw(&Rectangle::new(corners, colour(tone, alpha).filled()));
        self.keep(result);
    }

    fn ring(&mut self, at: (f64, f64), radius: f64, tone: Tone) {
        let centre = self.unit(at);
        let outer = (radius * self.scale).round() as i32;
        let inner = ((radius - 1.75) * self.scale).round() as i32;
        for (radius, tone) in [(outer, tone), (inner, Tone::Paper)] {
            let result = self.area.draw(&Circle::new(centre, radius, colour(tone, 1.0).filled()));
            self.keep(result);
        }
    }

    fn text(&mut self, text: &str, at: (f64, f64), style: Type) {
        let place = self.unit(at);
        let weight = if style.bold { FontStyle::Bold } else { FontStyle::Normal };
        let font = ("sans-serif", style.size * self.scale).into_font().style(weight);
        let ink = style.tone.light();
        let anchored = TextStyle::from(font).color(&ink).pos(Pos::new(style.anchor, VPos::Center));
        let result = self.area.draw(&Text::new(text.to_owned(), place, anchored));
        self.keep(result);
    }

    fn open(&mut self, who: usize, class: &str) {
        self.group(&format!("<g class=\"{class}\" data-c=\"{who}\">"));
    }

    fn close(&mut self) {
        self.group("</g>");
    }
}

/// The drawn pieces of a dashed line.
fn dashes(points: &[(f64, f64)], on: f64, off: f64) -> Vec<Vec<(f64, f64)>> {
    let mut pieces = Vec::new();
    let mut piece = vec![points[0]];
    let (mut drawing, mut left) = (true, on);
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let mut gone = 0.0;
        while length - gone > left {
            gone += left;
            let share = gone / length;
            let at = (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
            if drawing {
                piece.push(at);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![at];
            }
            drawing = !drawing;
            left = if drawing { on } else { off };
        }
        left -= length - gone;
        if drawing {
            piece.push(to);
        }
    }
    if drawing && piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_cover_their_share_of_a_line() {
        let pieces = dashes(&[(0.0, 0.0), (4.0, 0.0), (90.0, 0.0)], 5.0, 4.0);
        assert_eq!(pieces.len(), 10);
        assert_eq!(pieces[0], [(0.0, 0.0), (4.0, 0.0), (5.0, 0.0)]);
        assert_eq!(pieces[1], [(9.0, 0.0), (14.0, 0.0)]);
    }
}
