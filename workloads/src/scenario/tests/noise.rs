//! Texts that are no scenarios: one error, soon, and never a panic.

use proptest::prelude::*;

use super::super::{parse_bytes, template_text};
use super::{FULL, Options, known, read, with};

fn refused(text: &str) -> String {
    let error = read(text).expect_err("no scenario");
    let line = error.to_string();
    assert!(!line.contains('\n') && line.len() < 500, "{line}");
    assert!(error.span().is_none_or(|span| error.text().get(span).is_some()));
    line
}

#[test]
fn bytes_that_are_no_text_are_refused_at_once() {
    let bytes = |bytes: &[u8]| {
        parse_bytes("x", bytes, &known(), &Options::default()).expect_err("no text").to_string()
    };
    assert_eq!(bytes(&[b'a', 0xff]), "byte 1 is not UTF-8, so this is no scenario");
    assert_eq!(
        bytes(&vec![b'#'; (1 << 20) + 1]),
        "this is longer than 1 MiB, so it is no scenario"
    );
    assert_eq!(bytes(b"a = 1\n\0\x01"), "line 2 holds control characters, so this is no scenario");
    assert_eq!(bytes(b""), "the scenario needs the key `title`");
}

#[test]
fn large_and_deep_texts_are_refused_without_trouble() {
    let mebibyte = |unit: &str| unit.repeat((1 << 20) / unit.len());
    for unit in [
        "[", "{", "a", "\"", "'''", "a=", "a.", "=\n", "a = [", "\\", "é", "a={a=", "#", "[[a]]\n",
        "0", " ",
    ] {
        refused(&mebibyte(unit));
    }
    refused(&format!("a = {}", "[".repeat(100_000)));
    refused(&format!("a = {}", "{a.a.a.a.a.a.a.a=".repeat(10_000)));
    refused(&(0..40_000).map(|n| format!("k{n} = {n}\n")).collect::<String>());
    refused(&(0..30_000).map(|n| format!("[populations.p{n}]\n")).collect::<String>());
    // As deep as a text can be without being refused for it: dotted keys inside
    // inline tables.
    let nested = "a.".repeat(60) + "a = ";
    let deep = format!("{{{nested}\n").repeat(32).replace("= \n{", "= {\n");
    let line = refused(&format!("x = {}1{}", deep.trim_end(), "}".repeat(32)));
    assert!(line.contains("has no key `x`"), "it was read as TOML: {line}");
    refused(&format!("'\"'.{}a = 1", "a.".repeat(100_000)));
    refused(&format!("'\"'.{}a = 1", "a.".repeat(78)));
}

#[test]
fn large_scenarios_are_read_or_refused_soon() {
    let mut text = FULL.to_owned();
    for n in 0..20_000 {
        text.push_str(&format!("[[objectives]]\nsubscription = \"workers\"\nloss = 0.{n}\n"));
    }
    refused(&text);
    let mut text = FULL.to_owned();
    for n in 0..5_000 {
        text.push_str(&format!("[populations.p{n}]\nrole = \"subscriber\"\nfilter = \"edge.>\"\n"));
    }
    refused(&text);
    let digits = "{device}".repeat(40);
    let filter = "1".repeat(400) + "x";
    refused(
        &FULL.replace("burst.{device}", &digits).replace("\"edge.>\"", &format!("\"{filter}\"")),
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = read(&text);
        let _ = with(FULL, &[&text]);
        let _ = with(FULL, &[&format!("populations.devices.{text}")]);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_bytes("x", &bytes, &known(), &Options::default());
    }

    #[test]
    fn no_mutation_makes_it_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..8usize, "[ -~\n]{0,6}"), 1..5),
        which in 0..2usize,
    ) {
        let mut text: Vec<u8> = [FULL, template_text()][which].bytes().collect();
        for (at, remove, insert) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.bytes());
        }
        if let Ok(text) = String::from_utf8(text)
            && let Err(error) = read(&text)
        {
            prop_assert!(error.span().is_none_or(|span| error.text().get(span).is_some()));
            prop_assert!(!error.to_string().contains('\n'), "{}", error);
        }
    }

    /// Values out of place are the likeliest mistake of all.
    #[test]
    fn any_value_can_stand_anywhere(
        line in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![
            "-1", "0", "1e400", "nan", "-inf", "9223372036854775807", "\"\"", "\"x\"", "[]", "{}",
            "true", "1979-05-27", "\"-5ms\"", "\"1ns\"", "\"30d\"", "\"999999999999999d\"", "[[1]]",
            "\"{}\"", "\"*\"", "\">\"", "\"32B\"", "1e-300", "4294967295", "\"steady\"",
        ]),
    ) {
        let mut lines: Vec<String> = FULL.lines().map(str::to_owned).collect();
        let at = line.index(lines.len());
        if let Some((key, _)) = lines[at].split_once('=') {
            lines[at] = format!("{key}= {value}");
        }
        let _ = read(&lines.join("\n"));
    }
}
