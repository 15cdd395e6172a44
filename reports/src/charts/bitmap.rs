//! Charts as pixels: two for each of the vector picture, on white, with fonts
//! that come along, so that every machine draws the same.

use std::sync::OnceLock;

use plotters::prelude::{BitMapBackend, FontStyle, IntoDrawingArea, WHITE};
use plotters::style::register_font;

use super::canvas::Canvas;
use super::{ChartError, Figure, Form};

const SANS: &[u8] = include_bytes!("../../assets/sans.ttf");
const BOLD: &[u8] = include_bytes!("../../assets/sans-bold.ttf");

/// Pixels for each of the vector picture.
const SCALE: f64 = 2.0;

/// The figure as a PNG.
///
/// # Errors
/// [`ChartError`] when it cannot be drawn, which only memory can prevent.
pub fn png(figure: &Figure) -> Result<Vec<u8>, ChartError> {
    fonts()?;
    let form = Form::File;
    let (width, height) = figure.size(form);
    let (wide, high) = ((width * SCALE) as u32, (height * SCALE) as u32);
    let mut pixels = vec![0; wide as usize * high as usize * 3];
    {
        let backend = BitMapBackend::with_buffer(&mut pixels, (wide, high));
        let area = backend.into_drawing_area();
        area.fill(&WHITE).map_err(ChartError::drawing)?;
        let mut canvas = Canvas::new(area, SCALE, None);
        figure.draw(form, &mut canvas);
        canvas.finish()?;
    }
    encode(&pixels, wide, high).map_err(|error| ChartError::Drawing(error.to_string()))
}

fn encode(pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(out)
}

/// Makes the fonts known, once.
fn fonts() -> Result<(), ChartError> {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    let known = *KNOWN.get_or_init(|| {
        [(FontStyle::Normal, SANS), (FontStyle::Bold, BOLD)]
            .into_iter()
            .all(|(style, bytes)| register_font("sans-serif", style, bytes).is_ok())
    });
    if known { Ok(()) } else { Err(ChartError::Drawing("its fonts cannot be read".to_owned())) }
}
