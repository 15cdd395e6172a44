//! The files of a run.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use lab_reports::record::Record;
use lab_reports::render::{self, Format};

use super::host;
use crate::exit::CliError;
use crate::trial::account::Accounted;

/// Where runs go when nobody says where.
const HOME: &str = "lab-out";

/// A histogram and its file, relative to the folder.
pub type NamedHistogram = (String, Histogram<u64>);

/// The folder that a run writes to.
#[derive(Debug)]
pub struct Folder {
    path: Option<PathBuf>,
    why_not: Option<String>,
}

impl Folder {
    /// Finds or makes the folder before the run, so that what can be known to
    /// fail is said before anybody waits for it.
    ///
    /// # Errors
    /// [`CliError::Failed`] when the folder that was asked for is not empty
    /// (unless `force`) or cannot be written.
    pub fn prepare(out: Option<&Path>, force: bool, name: &str) -> Result<Folder, CliError> {
        let Some(path) = out else {
            let path = Path::new(HOME).join(format!("{}-{}", file_name(name), host::stamp()));
            // Without a folder of one's own choosing, the result on screen is
            // worth having even where nothing can be written.
            return Ok(match writable(&path) {
                Ok(()) => Folder { path: Some(path), why_not: None },
                Err(error) => Folder {
                    path: None,
                    why_not: Some(format!("`{}` cannot be written: {error}", path.display())),
                },
            });
        };
        let shown = lab_reports::clean::line(&path.display().to_string(), 200);
        if path.is_file() {
            return Err(CliError::Failed(format!("`{shown}` is a file; --out takes a folder")));
        }
        let occupied = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if occupied && !force {
            return Err(CliError::Failed(format!(
                "`{shown}` is not empty; choose another folder, or add --force to write into it"
            )));
        }
        writable(path)
            .map_err(|error| CliError::Failed(format!("`{shown}` cannot be written: {error}")))?;
        Ok(Folder { path: Some(path.to_owned()), why_not: None })
    }

    /// The folder for people.
    pub fn shown(&self) -> Option<String> {
        self.path.as_ref().map(|path| path.display().to_string())
    }

    /// Takes the histograms out of the trials and names their files in the record.
    pub fn name_histograms(&self, accounted: &mut [Accounted]) -> Vec<NamedHistogram> {
        let mut all = Vec::new();
        for one in accounted {
            let trial = &mut one.trial;
            let stem = format!("{}-{}-{}", file_name(&trial.contender), trial.mode, trial.repeat);
            for (name, pair) in &one.by_subscription {
                let base = format!("histograms/{stem}-{}", file_name(name));
                let response = format!("{base}-response.hdr");
                let service = format!("{base}-service.hdr");
                if let Some(latency) = trial.by_subscription.get_mut(name) {
                    latency.response.hdr = Some(response.clone());
                    latency.service.hdr = Some(service.clone());
                }
                all.push((response, pair.response.clone()));
                all.push((service, pair.service.clone()));
            }
            let mut whole = crate::measure::meters::Pair::new();
            for pair in one.by_subscription.values() {
                whole.add(pair);
            }
            let response = format!("histograms/{stem}-delivery-response.hdr");
            let service = format!("histograms/{stem}-delivery-service.hdr");
            trial.delivery.response.hdr = Some(response.clone());
            trial.delivery.service.hdr = Some(service.clone());
            all.push((response, whole.response));
            all.push((service, whole.service));
            if let (Some(latency), Some(pair)) = (&mut trial.publish, &one.publish) {
                let response = format!("histograms/{stem}-publish-response.hdr");
                let service = format!("histograms/{stem}-publish-service.hdr");
                latency.response.hdr = Some(response.clone());
                latency.service.hdr = Some(service.clone());
                all.push((response, pair.response.clone()));
                all.push((service, pair.service.clone()));
            }
        }
        all
    }

    /// Writes everything.
    ///
    /// # Errors
    /// One line that says what could not be written.
    pub fn write(
        &self,
        record: &Record,
        histograms: &[NamedHistogram],
        scenario: &str,
    ) -> Result<(), String> {
        let Some(path) = &self.path else {
            return Err(self.why_not.clone().unwrap_or_default());
        };
        let file = |name: &str, bytes: &[u8]| write_file(path, name, bytes);
        // The record first: whatever else fails can be made from it again.
        for format in [
            Format::Json,
            Format::Text,
            Format::Csv,
            Format::Markdown,
            Format::Html,
            Format::Svg,
            Format::Png,
        ] {
            for made in render::files(record, format).map_err(|error| error.to_string())? {
                file(&made.name, &made.bytes)?;
            }
        }
        file("scenario.toml", scenario.as_bytes())?;
        let mut serializer = V2DeflateSerializer::new();
        for (name, histogram) in histograms {
            let mut bytes = Vec::new();
            serializer
                .serialize(histogram, &mut bytes)
                .map_err(|error| format!("`{name}`: {error:?}"))?;
            file(name, &bytes)?;
        }
        Ok(())
    }
}

/// Writes `name`, which may have folders in it, below `folder`.
///
/// # Errors
/// One line that says what could not be written.
pub fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), String> {
    let target = folder.join(name);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(|error| format!("`{}`: {error}", parent.display()))?;
    }
    fs::write(&target, bytes).map_err(|error| format!("`{}`: {error}", target.display()))
}

/// Makes the folder and checks that a file can be made in it.
fn writable(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)?;
    let probe = path.join(".lab-probe");
    let mut file = fs::File::create(&probe)?;
    let written = file.write_all(&[0; 4096]).and_then(|()| file.sync_data());
    drop(file);
    fs::remove_file(&probe)?;
    written
}

/// A name in which every character is fit for a file.
fn file_name(text: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = text.chars().take(80).map(fit).collect();
    if name.is_empty() { "scenario".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_fit_for_files() {
        assert_eq!(file_name("kafka:linger=0"), "kafka_linger_0");
        assert_eq!(file_name("../../x"), ".._.._x");
        assert_eq!(file_name(""), "scenario");
    }

    #[test]
    fn a_folder_with_something_in_it_is_refused_unless_forced() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("mine"), "x").expect("writes");
        let refused = Folder::prepare(Some(folder.path()), false, "x");
        assert!(matches!(refused, Err(CliError::Failed(_))));
        assert!(Folder::prepare(Some(folder.path()), true, "x").is_ok());
        let fresh = folder.path().join("a/b");
        assert!(Folder::prepare(Some(&fresh), false, "x").is_ok());
        let file = folder.path().join("mine");
        assert!(Folder::prepare(Some(&file), true, "x").is_err());
    }
}
