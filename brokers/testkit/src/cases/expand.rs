//! `m{1..3}` stands for `m1`, `m2`, `m3`.

/// Ranges longer than this are a slip of the pen.
const LONGEST: u32 = 100_000;

/// The texts that `pattern` stands for.
///
/// # Errors
/// Text that says what is wrong with the range.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return Ok(vec![pattern.to_owned()]);
    };
    let wrong = || format!("`{pattern}` needs a range such as `m{{1..20}}`");
    let (range, after) = rest.split_once('}').ok_or_else(wrong)?;
    let (first, last) = range.split_once("..").ok_or_else(wrong)?;
    let first: u32 = first.parse().map_err(|_| wrong())?;
    let last: u32 = last.parse().map_err(|_| wrong())?;
    if last < first || last - first >= LONGEST {
        return Err(format!("`{pattern}` counts upwards, over at most {LONGEST} numbers"));
    }
    Ok((first..=last).map(|number| format!("{before}{number}{after}")).collect())
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn a_range_becomes_its_numbers() {
        assert_eq!(expand("m{9..11}!").expect("reads"), ["m9!", "m10!", "m11!"]);
        assert_eq!(expand("plain").expect("reads"), ["plain"]);
        for wrong in ["m{", "m{1}", "m{1..x}", "m{2..1}", "m{0..4000000000}"] {
            assert!(expand(wrong).is_err(), "{wrong}");
        }
    }
}
