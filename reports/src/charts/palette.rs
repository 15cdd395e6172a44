//! Colours by meaning: one for each contender everywhere, told apart by readers
//! with any of the common colour deficiencies, light and dark.

use plotters::style::RGBColor;

/// What a colour means.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Text.
    Ink,
    /// Lesser text.
    Dim,
    /// Lines of the grid.
    Grid,
    /// What is drawn upon.
    Paper,
    /// A fault.
    Fault,
    /// A contender's, by its number in the palette.
    Series(usize),
}

/// A colour on white and on near-black.
struct Shade {
    light: RGBColor,
    dark: RGBColor,
}

const fn shade(light: (u8, u8, u8), dark: (u8, u8, u8)) -> Shade {
    Shade { light: RGBColor(light.0, light.1, light.2), dark: RGBColor(dark.0, dark.1, dark.2) }
}

/// After Okabe and Ito, darkened (or lightened) until text in them is readable.
const SERIES: [Shade; 8] = [
    shade((0, 107, 166), (92, 172, 236)),
    shade((196, 78, 0), (255, 146, 76)),
    shade((0, 122, 90), (62, 201, 158)),
    shade((158, 66, 124), (231, 150, 200)),
    shade((138, 95, 0), (232, 178, 60)),
    shade((62, 76, 92), (178, 190, 204)),
    shade((94, 60, 168), (180, 156, 250)),
    shade((140, 32, 40), (250, 128, 132)),
];

const INK: Shade = shade((27, 31, 38), (233, 236, 241));
const DIM: Shade = shade((89, 97, 110), (160, 169, 182));
const GRID: Shade = shade((223, 227, 232), (51, 57, 67));
const PAPER: Shade = shade((255, 255, 255), (18, 21, 26));
const FAULT: Shade = shade((180, 30, 60), (255, 120, 140));

/// Contenders that always have the same colour, whatever else runs.
const KNOWN: [(&str, usize); 4] = [("nats", 0), ("redis", 1), ("kafka", 2), ("jetstream", 3)];

/// A palette number for each of `keys`, in order. A contender that is known has
/// its own; presets of it and strangers take what is left.
pub fn assign(keys: &[&str]) -> Vec<usize> {
    let known = |key: &str| KNOWN.iter().find(|(name, _)| *name == key).map(|(_, at)| *at);
    let mut taken: Vec<usize> = keys.iter().filter_map(|key| known(key)).collect();
    keys.iter()
        .map(|key| {
            if let Some(at) = known(key) {
                return at;
            }
            let base = key.split(':').next().and_then(known);
            let free = base
                .into_iter()
                .chain(4..SERIES.len())
                .chain(0..4)
                .find(|at| !taken.contains(at))
                .unwrap_or(taken.len() % SERIES.len());
            taken.push(free);
            free
        })
        .collect()
}

impl Tone {
    /// All that a style sheet has to name.
    pub fn all() -> impl Iterator<Item = Tone> {
        [Tone::Ink, Tone::Dim, Tone::Grid, Tone::Paper, Tone::Fault]
            .into_iter()
            .chain((0..SERIES.len()).map(Tone::Series))
    }

    fn shade(self) -> &'static Shade {
        match self {
            Tone::Ink => &INK,
            Tone::Dim => &DIM,
            Tone::Grid => &GRID,
            Tone::Paper => &PAPER,
            Tone::Fault => &FAULT,
            Tone::Series(at) => &SERIES[at % SERIES.len()],
        }
    }

    /// On a light ground; no two tones share one, so that it names the tone.
    pub fn light(self) -> RGBColor {
        self.shade().light
    }

    /// The variable of the style sheet, without its dashes.
    pub fn name(self) -> String {
        match self {
            Tone::Ink => "ink".to_owned(),
            Tone::Dim => "dim".to_owned(),
            Tone::Grid => "grid".to_owned(),
            Tone::Paper => "paper".to_owned(),
            Tone::Fault => "fault".to_owned(),
            Tone::Series(at) => format!("c{}", at % SERIES.len()),
        }
    }

    /// The tone whose light colour is `rgb`.
    pub fn of(rgb: (u8, u8, u8)) -> Tone {
        Tone::all()
            .find(|tone| {
                let RGBColor(r, g, b) = tone.light();
                (r, g, b) == rgb
            })
            .unwrap_or(Tone::Ink)
    }
}

/// Declarations of all variables for a light or a dark ground.
pub fn variables(dark: bool) -> String {
    Tone::all()
        .map(|tone| {
            let RGBColor(r, g, b) = if dark { tone.shade().dark } else { tone.shade().light };
            format!("--{}:#{r:02x}{g:02x}{b:02x};", tone.name())
        })
        .collect()
}

/// Rules that paint strokes and fills by the name of a tone.
pub fn rules() -> String {
    Tone::all()
        .map(|tone| {
            let name = tone.name();
            format!(".s-{name}{{stroke:var(--{name})}}.f-{name}{{fill:var(--{name})}}")
        })
        .collect()
}

/// Rules for dots and edges of a page in a contender's colour.
pub fn grounds() -> String {
    (0..SERIES.len())
        .map(|at| format!(".b-c{at}{{background:var(--c{at})}}.l-c{at}{{--edge:var(--c{at})}}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, as WCAG 2 has it.
    fn luminance(RGBColor(r, g, b): RGBColor) -> f64 {
        let part = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
    }

    fn contrast(a: RGBColor, b: RGBColor) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_in_every_colour_is_readable_on_its_ground() {
        for tone in Tone::all().filter(|tone| !matches!(tone, Tone::Grid | Tone::Paper)) {
            let shade = tone.shade();
            assert!(contrast(shade.light, PAPER.light) >= 4.5, "{tone:?} on white");
            assert!(contrast(shade.dark, PAPER.dark) >= 4.5, "{tone:?} on black");
        }
    }

    #[test]
    fn a_colour_names_its_tone() {
        for tone in Tone::all() {
            let RGBColor(r, g, b) = tone.light();
            assert_eq!(Tone::of((r, g, b)), tone);
        }
    }

    #[test]
    fn a_contender_keeps_its_colour_whatever_else_runs() {
        assert_eq!(assign(&["nats", "redis", "kafka"]), [0, 1, 2]);
        assert_eq!(assign(&["kafka", "kafka:linger=0", "stranger", "nats"]), [2, 4, 5, 0]);
        assert_eq!(assign(&["kafka:linger=0", "kafka:acks=all"]), [2, 4]);
        let many: Vec<String> = (0..40).map(|at| format!("x{at}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let seats = assign(&many);
        assert!(seats[..8].iter().enumerate().all(|(at, seat)| !seats[..at].contains(seat)));
    }
}
