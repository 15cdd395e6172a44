//! How far a run is, on standard error.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::term;
use crate::trial::Watch;

/// Bars on a terminal, lines elsewhere.
#[derive(Debug)]
pub struct Progress {
    bars: Option<MultiProgress>,
}

/// The bar of one trial.
#[derive(Debug)]
pub struct Bar {
    bar: Option<ProgressBar>,
    name: String,
    begun: std::time::Instant,
}

impl Progress {
    /// Progress on standard error.
    pub fn new() -> Progress {
        Progress { bars: std::io::stderr().is_terminal().then(MultiProgress::new) }
    }

    /// Begins a trial.
    pub fn begin(&self, name: String) -> Bar {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(1000));
            let style = ProgressStyle::with_template("{prefix:<22} {bar:24} {percent:>3} %  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            bar.set_style(style);
            bar.set_prefix(name.clone());
            bar
        });
        Bar { bar, name, begun: std::time::Instant::now() }
    }
}

impl Bar {
    /// Shows `watch` on the bar until `done` is set.
    pub fn follow(&self, watch: &Watch, done: &Arc<AtomicBool>) {
        while !done.load(Ordering::Acquire) {
            if let Some(bar) = &self.bar {
                let (permille, p99_ns, delivered) = watch.progress();
                bar.set_position(u64::from(permille));
                bar.set_message(format!(
                    "p99 {:.2} ms, {delivered} delivered",
                    p99_ns as f64 / 1e6
                ));
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// The trial is over.
    pub fn end(self, summary: &str) {
        let line =
            format!("{:<22} {:>6.2} s  {summary}", self.name, self.begun.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                bar.println(line);
            }
            None => term::note(&line),
        }
    }
}
