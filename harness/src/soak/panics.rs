//! Panics as findings: a core that panics has broken its promise, too.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Where this thread's next panic is written to, while it is being watched.
    static SEEN: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Runs `work`; a panic in it is told instead of shown.
///
/// # Errors
/// The panic's message and place, in one line.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |info| {
            let told = SEEN.with_borrow_mut(|seen| match seen {
                Some(seen) => {
                    let place = info
                        .location()
                        .map_or_else(String::new, |at| format!(" ({}:{})", at.file(), at.line()));
                    let payload = info.payload();
                    let what = payload
                        .downcast_ref::<&str>()
                        .copied()
                        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                        .unwrap_or("no message");
                    *seen = format!("{}{place}", lab_reports::clean::line(what, 300));
                    true
                }
                None => false,
            });
            if !told {
                usual(info);
            }
        }));
    });
    SEEN.set(Some(String::new()));
    // What a panic leaves half done is dropped with the run it happened in.
    let result = catch_unwind(AssertUnwindSafe(work));
    let seen = SEEN.take().unwrap_or_default();
    result.map_err(|_| seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place() {
        assert_eq!(caught(|| 7), Ok(7));
        let told = caught(|| panic!("on purpose, {}", 3)).expect_err("panics");
        assert!(told.starts_with("on purpose, 3 (") && told.contains("panics.rs:"), "{told}");
        assert_eq!(caught(|| 8), Ok(8));
    }
}
