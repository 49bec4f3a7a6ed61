//! `postern check`: what is wrong with the objects in files or in a cluster.

use std::io::Write;
use std::process::ExitCode;

use postern_api::finding::Level;
use postern_translate::Options;
use postern_translate::children::settings::translate_with_settings;
use postern_translate::children::{ChildDefaults, plan_children};

use crate::cli::{CheckArgs, FailOn, ReportFormat};
use crate::files::Reading;
use crate::report::{Report, counted};

/// Checks, prints, and says by the exit code whether it is fine.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let reading = args.source.read()?;
    let report = check(&reading, &args.installation.options(Options::default()));
    match args.format {
        ReportFormat::Json => report.write_json(&mut std::io::stdout().lock())?,
        ReportFormat::Text => {
            report.write_text(&mut anstream::stdout().lock())?;
            let mut notes = anstream::stderr().lock();
            if reading.is_incomplete() {
                writeln!(
                    notes,
                    "What depends on other objects was not checked: not all of them could be read."
                )?;
            }
            writeln!(notes, "{}", summary(&reading, &report))?;
        }
    }
    let failed = report.lines.iter().any(|line| line.level >= threshold(args.fail_on));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Objects that could not be read would seem to be missing to others; so without them only each object is looked at.
fn check(reading: &Reading, options: &Options) -> Report {
    if reading.is_incomplete() {
        return Report::of_reading(reading);
    }
    let (mut outcome, settings) = translate_with_settings(&reading.world(), options);
    // What of the settings cannot be done, whatever the images.
    let images = ChildDefaults { image: String::new(), image_pull_policy: None };
    let planned = outcome.plans.iter().filter_map(|(name, plan)| Some((plan, settings.get(name)?)));
    let about: Vec<_> = planned.flat_map(|(plan, it)| plan_children(plan, it, &images).findings).collect();
    for finding in about {
        outcome.findings.entry(finding.object.clone()).or_default().push(finding);
    }
    Report::of_all(reading, &outcome.findings)
}

fn summary(reading: &Reading, report: &Report) -> String {
    let counts = [(Level::Error, "error"), (Level::Warning, "warning"), (Level::Info, "note")]
        .map(|(level, name)| (report.count(level), name))
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| counted(count, name))
        .collect::<Vec<_>>();
    let found = if counts.is_empty() { "nothing to say".to_owned() } else { counts.join(", ") };
    format!("{}: {found}", counted(reading.objects.len(), "object"))
}

const fn threshold(fail_on: FailOn) -> Level {
    match fail_on {
        FailOn::Error => Level::Error,
        FailOn::Warning => Level::Warning,
        FailOn::Info => Level::Info,
    }
}
