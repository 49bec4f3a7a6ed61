//! The process's own figures, by the names that all Prometheus clients use, read from `/proc`.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::metrics::encode::{Families, Family};

/// `USER_HZ`, the unit of times in `/proc`: 100 on every architecture that Postern is built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads `/proc/self` at each scrape.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let figures = Figures::read();
        let mut families = Families(&mut encoder);
        families.write(
            Family {
                name: "process_cpu_seconds",
                help: "User and system CPU time spent in seconds",
                kind: MetricType::Counter,
            },
            figures.cpu_seconds.iter(),
            |metric, seconds| metric.encode_counter::<NoLabelSet, _, u64>(seconds, None),
        )?;
        for (name, help, value) in figures.gauges() {
            families.write(
                Family { name, help, kind: MetricType::Gauge },
                value.iter(),
                |metric, value| metric.encode_gauge(value),
            )?;
        }
        Ok(())
    }
}

/// What could be read; on a system without `/proc` nothing can.
#[derive(Debug, Default, PartialEq)]
struct Figures {
    cpu_seconds: Option<f64>,
    start_time_seconds: Option<f64>,
    threads: Option<f64>,
    resident_bytes: Option<f64>,
    virtual_bytes: Option<f64>,
    open_fds: Option<f64>,
    max_fds: Option<f64>,
}

impl Figures {
    fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mut figures = Self::parse(
            &read("/proc/self/stat"),
            &read("/proc/self/status"),
            &read("/proc/self/limits"),
            &read("/proc/stat"),
        );
        // One of them is the directory that is being read.
        figures.open_fds = fs::read_dir("/proc/self/fd").ok().map(|fds| (fds.count() as f64 - 1.0).max(0.0));
        figures
    }

    fn parse(stat: &str, status: &str, limits: &str, system_stat: &str) -> Self {
        // Fields after the command name, which is in parentheses and may hold anything (proc(5));
        // the first of them is field 3.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<f64>().ok());
        let boot_time = system_stat
            .lines()
            .find_map(|line| line.strip_prefix("btime "))
            .and_then(|seconds| seconds.trim().parse::<f64>().ok());
        let max_fds = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS_PER_SECOND),
            start_time_seconds: field(22).zip(boot_time).map(|(ticks, boot)| boot + ticks / TICKS_PER_SECOND),
            threads: field(20),
            resident_bytes: kibibytes(status, "VmRSS:"),
            virtual_bytes: kibibytes(status, "VmSize:"),
            open_fds: None,
            max_fds,
        }
    }

    fn gauges(&self) -> [(&'static str, &'static str, Option<f64>); 6] {
        [
            (
                "process_start_time_seconds",
                "Start of the process in seconds since the epoch",
                self.start_time_seconds,
            ),
            ("process_resident_memory_bytes", "Resident memory size in bytes", self.resident_bytes),
            ("process_virtual_memory_bytes", "Virtual memory size in bytes", self.virtual_bytes),
            ("process_threads", "Operating system threads", self.threads),
            ("process_open_fds", "Open file descriptors", self.open_fds),
            ("process_max_fds", "Most file descriptors that may be open", self.max_fds),
        ]
    }
}

/// A line such as `VmRSS:     1234 kB` of `/proc/self/status`, in bytes.
fn kibibytes(status: &str, name: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: f64 = rest.split_whitespace().next()?.parse().ok()?;
    Some(number * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_proc() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 900 0 3 0 250 50 0 0 20 0 7 0 12345 1000 200 18446744073709551615";
        let status = "Name:\tpostern\nVmSize:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 4096                 files\n";
        assert_eq!(
            Figures::parse(stat, status, limits, "cpu 1 2\nbtime 1700000000\n"),
            Figures {
                cpu_seconds: Some(3.0),
                start_time_seconds: Some(1_700_000_123.45),
                threads: Some(7.0),
                resident_bytes: Some(1_048_576.0),
                virtual_bytes: Some(2_097_152.0),
                open_fds: None,
                max_fds: Some(1024.0),
            }
        );
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        assert_eq!(Figures::parse("", "", "", ""), Figures::default());
        assert_eq!(
            Figures::parse("1 (x) R", "VmRSS:", "Max open files unlimited", "btime x"),
            Figures::default()
        );
    }

    #[test]
    fn this_process_has_all_of_them() {
        let figures = Figures::read();
        assert!(figures.resident_bytes.unwrap() > 100_000.0);
        assert!(figures.open_fds.unwrap() >= 3.0);
        assert!(figures.threads.unwrap() >= 1.0);
        assert!(figures.start_time_seconds.unwrap() > 1_600_000_000.0);
        assert!(figures.cpu_seconds.is_some());
    }
}
