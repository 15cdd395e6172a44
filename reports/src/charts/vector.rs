//! A plotters backend that writes SVG for pages: colours are names of a style
//! sheet, so that the same picture serves light and dark, and fonts are the
//! reader's own.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write;
use std::rc::Rc;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontStyle,
};

use super::palette::Tone;

/// Units a pixel: places have one decimal.
pub const SCALE: f64 = 10.0;

/// Writes elements of SVG to a text that its owner shares.
#[derive(Debug)]
pub struct Vector {
    out: Rc<RefCell<String>>,
    size: (u32, u32),
}

impl Vector {
    /// A picture of so many pixels.
    pub fn new(out: Rc<RefCell<String>>, width: f64, height: f64) -> Vector {
        Vector { out, size: ((width * SCALE) as u32, (height * SCALE) as u32) }
    }

    fn write(&self, arguments: std::fmt::Arguments<'_>) {
        // Writing to a String does not fail.
        let _ = self.out.borrow_mut().write_fmt(arguments);
    }
}

/// A number of units in pixels, without what says nothing.
fn px(units: i32) -> String {
    if units % 10 == 0 {
        (units / 10).to_string()
    } else {
        let sign = if units < 0 { "-" } else { "" };
        format!("{sign}{}.{}", (units / 10).abs(), (units % 10).abs())
    }
}

fn name(colour: BackendColor) -> String {
    Tone::of(colour.rgb).name()
}

fn opacity(colour: BackendColor) -> String {
    if colour.alpha >= 0.995 { String::new() } else { format!(" opacity=\"{:.2}\"", colour.alpha) }
}

fn width<S: BackendStyle>(style: &S) -> String {
    px(style.stroke_width() as i32)
}

fn points(path: impl IntoIterator<Item = BackendCoord>) -> String {
    let mut out = String::new();
    for (x, y) in path {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&px(x));
        out.push(',');
        out.push_str(&px(y));
    }
    out
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl DrawingBackend for Vector {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, colour: BackendColor) -> Drawn {
        let (x, y) = (px(point.0), px(point.1));
        let (name, opacity) = (name(colour), opacity(colour));
        self.write(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"1\" height=\"1\" class=\"f-{name}\"{opacity}/>"
        ));
        Ok(())
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let colour = style.color();
        self.write(format_args!(
            "<polyline class=\"s-{}\" stroke-width=\"{}\"{} points=\"{}\"/>",
            name(colour),
            width(style),
            opacity(colour),
            points(path)
        ));
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let (left, right) = (upper_left.0.min(bottom_right.0), upper_left.0.max(bottom_right.0));
        let (top, bottom) = (upper_left.1.min(bottom_right.1), upper_left.1.max(bottom_right.1));
        let colour = style.color();
        let class = if fill { "f-" } else { "s-" };
        self.write(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"{class}{}\"{}/>",
            px(left),
            px(top),
            px(right - left),
            px(bottom - top),
            name(colour),
            opacity(colour)
        ));
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        centre: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let colour = style.color();
        let class = if fill { "f-" } else { "s-" };
        self.write(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" class=\"{class}{}\"{}/>",
            px(centre.0),
            px(centre.1),
            px(radius as i32),
            name(colour),
            opacity(colour)
        ));
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        corners: I,
        style: &S,
    ) -> Drawn {
        let colour = style.color();
        self.write(format_args!(
            "<polygon class=\"f-{}\"{} points=\"{}\"/>",
            name(colour),
            opacity(colour),
            points(corners)
        ));
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        place: BackendCoord,
    ) -> Drawn {
        let anchor = match style.anchor().h_pos {
            HPos::Left => "",
            HPos::Center => " text-anchor=\"middle\"",
            HPos::Right => " text-anchor=\"end\"",
        };
        let size = style.size();
        // Not every viewer knows `dominant-baseline`.
        let lift = match style.anchor().v_pos {
            VPos::Top => size * 0.8,
            VPos::Center => size * 0.35,
            VPos::Bottom => 0.0,
        };
        let weight = match style.style() {
            FontStyle::Bold => " font-weight=\"600\"",
            _ => "",
        };
        self.write(format_args!(
            "<text x=\"{}\" y=\"{}\" font-size=\"{}\" class=\"f-{}\"{anchor}{weight}>{}</text>",
            px(place.0),
            px(place.1 + lift.round() as i32),
            px(size.round() as i32),
            name(style.color()),
            crate::markup::attribute(text)
        ));
        Ok(())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let wide = crate::clean::width(text) as f64 * style.size() * 0.57;
        Ok((wide as u32, style.size() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_written_as_pixels() {
        assert_eq!([px(0), px(120), px(-5), px(1_234)], ["0", "12", "-0.5", "123.4"]);
    }
}
