//! What the numbers say, in sentences.

use std::fmt::Write as _;

use crate::resets::{
    Basis, Delays, Exposure, MarkComparison, RateComparison, Reading, Rhythm, Series, ServiceTally, ShareComparison,
    Sources, Tally,
};

/// What a mark changed, in plain words.
pub(super) fn mark_sentence(comparison: &MarkComparison, at: &str) -> String {
    let label = &comparison.mark.label;
    let sides = &comparison.all;
    let what = format!("{} ({at})", if label.is_empty() { "Mark" } else { label });
    let (before, after) = (sides.before, sides.after);
    let hours = |count: f64| if sides.whole_stretch { hours(count) } else { format!("{} with logs", hours(count)) };
    let Some(rates) = sides.rates else {
        return match (before.hours > 0.0, after.hours > 0.0) {
            (true, true) => format!(
                "{what}: no reset before it ({}) and none after it ({}).",
                hours(before.hours),
                hours(after.hours)
            ),
            _ => match comparison.one_sided.as_slice() {
                [] => format!("{what}: there are no logs around it, so nothing can be said."),
                names => format!(
                    "{what}: no service has logs on both sides of it ({}), so nothing can be said.",
                    crate::report::look::some(names.iter().cloned(), 3)
                ),
            },
        };
    };
    if rates.is_too_early() {
        let tell = rates.hours_to_tell().filter(|tell| *tell > after.hours);
        return format!(
            "{what}: {} in {} before it, {} in {} after it: {}.",
            number(before.count),
            hours(before.hours),
            number(after.count),
            hours(after.hours),
            match tell {
                Some(tell) =>
                    format!("too early to tell; with {} of logs after it, a fall to none would show", self::hours(tell)),
                None => "too little time to compare".to_owned(),
            }
        );
    }
    let mut text = format!(
        "{what}: from {} in {} to {} in {}",
        per_hour(before),
        hours(before.hours),
        per_hour(after),
        hours(after.hours)
    );
    let _ = match rates.ratio {
        None => write!(text, ", at least {} times the rate before (95 % interval)", significant(rates.interval.0)),
        Some(0.0) if rates.interval.1 <= 2.0 => {
            write!(text, ", at most {} of the rate before (95 % interval)", percent(rates.interval.1))
        }
        Some(0.0) => write!(text, "; so short a time says nothing of the rate"),
        Some(ratio) if ratio < 1.0 && rates.interval.1 <= 2.0 => write!(
            text,
            ", {} of the rate before (95 % interval {} to {})",
            percent(ratio),
            percent(rates.interval.0),
            percent(rates.interval.1)
        ),
        Some(ratio) => write!(
            text,
            ", {} times the rate before (95 % interval {} to {})",
            significant(ratio),
            significant(rates.interval.0),
            significant(rates.interval.1)
        ),
    };
    let _ = write!(text, ". {}", verdict(&rates));
    if let Some(shares) = sides.shares
        && let (Some(before), Some(after)) =
            (ShareComparison::share(shares.before), ShareComparison::share(shares.after))
    {
        let _ = write!(
            text,
            " Of the calls, {} of {} failed before and {} of {} after.",
            percent(before),
            grouped(shares.before.1),
            percent(after),
            grouped(shares.after.1)
        );
    }
    text
}

fn verdict(rates: &RateComparison) -> &'static str {
    match (rates.is_more_than_noise(), rates.interval.1 < 1.0) {
        (true, true) => "The fall is more than noise.",
        (true, false) => "The rise is more than noise.",
        (false, _) => "The difference can be noise: more hours of logs would tell.",
    }
}

fn number(count: u64) -> String {
    if count == 0 { "none".to_owned() } else { grouped(count) }
}

fn per_hour(exposure: Exposure) -> String {
    if exposure.count == 0 {
        return "none".to_owned();
    }
    format!("{} an hour ({})", significant(exposure.rate()), grouped(exposure.count))
}

fn hours(hours: f64) -> String {
    if hours < 1.0 / 60.0 {
        format!("{:.0} seconds", hours * 3600.0)
    } else if hours < 1.0 {
        format!("{:.0} minutes", hours * 60.0)
    } else if hours < 10.0 {
        format!("{hours:.1} hours")
    } else {
        let whole = hours.round() as u64;
        format!("{} hours", grouped(whole))
    }
}

fn percent(share: f64) -> String {
    format!("{} %", significant(share * 100.0))
}

/// Two significant digits, without an exponent.
pub(in crate::report) fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "∞".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    if value >= 100.0 {
        return grouped(value.round() as u64);
    }
    let digits = (1.0 - value.log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A number with its thousands apart.
pub(in crate::report) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Why there is no chart.
pub(super) fn nothing(report: &super::ResetsReport) -> String {
    let input = &report.input;
    match (input.records, input.outside_window) {
        (0, _) => "There are no log records in the input.".to_owned(),
        (_, outside) if outside > 0 => {
            format!("No logs in the time asked for: {} outside it.", many(outside, "record"))
        }
        (records, _) => format!("None of the {} has a timestamp, so there is no chart.", many(records, "record")),
    }
}

pub(super) fn quoted(label: &str) -> String {
    if label.is_empty() { "the mark".to_owned() } else { format!("“{label}”") }
}

/// How long the calls lived before they failed, as far as the logs prove a beginning.
pub(super) fn delay_sentence(delays: &Delays, tally: &Tally) -> String {
    let best = delays.best();
    if best.total == 0 {
        let all = tally.services.values().filter(|service| service.basis() == Basis::Application);
        let why = if all.clone().count() > 0 && all.into_iter().all(ServiceTally::is_failures_only) {
            " (they have failures only)"
        } else {
            ""
        };
        return format!("The logs do not say when these calls began{why}.");
    }
    let known = format!("the {} whose duration is known", many(best.total, "reset"));
    let Some(peak) = delays.peak().filter(|peak| peak.share >= 0.25 && peak.count >= 5) else {
        return format!("{} came after no delay in particular.", capital(&known));
    };
    let mut text = format!(
        "{} of {known} came {:.2}–{:.2} s after the call began",
        percent(peak.share),
        peak.from.as_secs_f64(),
        peak.to.as_secs_f64()
    );
    if let Some(timeout) = peak.points_at.filter(|_| peak.points_enough()) {
        let _ = write!(text, ": this points at a connect timeout of {}", seconds(timeout.as_secs_f64()));
        if [20.0, 30.0].contains(&timeout.as_secs_f64()) {
            text.push_str(", or at 10s with Istio's retries");
        } else if timeout.as_secs_f64() >= 15.0 {
            text.push_str(", or at another timeout of that length");
        }
    }
    text.push('.');
    text
}

/// Failures at even distances.
pub(super) fn rhythm_sentence(rhythm: Rhythm) -> String {
    let every = rhythm.every.as_secs_f64();
    let every = if every >= 600.0 { format!("{:.0} min", every / 60.0) } else { format!("{} s", significant(every)) };
    format!("{} of them come {every} after the one before: something calls in that rhythm.", percent(rhythm.share))
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0}ms", seconds * 1000.0) } else { format!("{seconds}s") }
}

/// What a reader must know to judge the figures.
pub(super) fn notes(tally: &Tally, series: &Series, comparisons: &[MarkComparison], sources: &Sources) -> Vec<String> {
    let mut notes = Vec::new();
    of_columns(&mut notes, series);
    of_both_sides(&mut notes, tally);
    of_uncounted(&mut notes, tally);
    of_reading(&mut notes, &tally.reading, sources);
    for comparison in comparisons {
        of_comparison(&mut notes, comparison);
    }
    notes
}

fn of_columns(notes: &mut Vec<String>, series: &Series) {
    let missing = series.total.lost.iter().filter(|lost| lost.is_none()).count();
    if missing > 0 {
        notes.push(format!(
            "{missing} of {} {} no logs at all: missing, not zero.",
            many(series.buckets.len() as u64, "column"),
            if missing == 1 { "has" } else { "have" }
        ));
    }
    let partly = series.covered.iter().flatten().count();
    if partly > 0 && series.buckets.len() > 1 {
        notes.push(if partly == 1 {
            "One column is only partly covered by logs: its count is of a shorter time.".to_owned()
        } else {
            let columns = many(partly as u64, "column");
            format!("{columns} are only partly covered by logs: their counts are of shorter times.")
        });
    }
}

/// An application's log and its proxy's, read together.
fn of_both_sides(notes: &mut Vec<String>, tally: &Tally) {
    let mut compared = false;
    for (name, service) in &tally.services {
        if let Some(proxy) = service.proxy_compared() {
            compared = true;
            let own: u64 =
                service.classes.iter().filter(|(class, _)| !class.is_of_proxy()).map(|(_, count)| count).sum();
            notes.push(format!(
                "{name}: its log tells of {}, its proxy's of {}. Both tell of the same failures: the application's are counted.",
                many(own, "reset"),
                many(proxy, "failed call")
            ));
        }
    }
    let has = |basis: Basis| {
        tally.services.values().any(|service| {
            service.basis() == basis && service.classes.iter().any(|(class, count)| basis.has(*class) && *count > 0)
        })
    };
    if !compared && has(Basis::Application) && has(Basis::Proxy) {
        notes.push(
            "Some of these are of applications' logs and some of proxies' access logs: where both are of one pod, a failure stands in both and was counted twice."
                .to_owned(),
        );
    }
}

fn of_uncounted(notes: &mut Vec<String>, tally: &Tally) {
    for (reason, uncounted) in &tally.uncounted {
        notes.push(format!(
            "Not counted: {} that {}.",
            many(uncounted.count, "record"),
            if uncounted.count == 1 { singular(reason.meaning()) } else { reason.meaning().to_owned() }
        ));
    }
    if !tally.uncounted.is_empty() {
        notes.push("--show uncounted lists the records that were not counted.".to_owned());
    }
}

/// `name the words` of one record is `names the words`.
fn singular(meaning: &str) -> String {
    let (verb, rest) = meaning.split_once(' ').unwrap_or((meaning, ""));
    let verb = if verb == "have" { "has".to_owned() } else { format!("{verb}s") };
    format!("{verb} {}", rest.replace("and are no warnings", "and is no warning"))
}

fn of_reading(notes: &mut Vec<String>, reading: &Reading, sources: &Sources) {
    if reading.without_timestamp > 0 {
        let among = match reading.resets_without_timestamp {
            0 => "no reset is among them".to_owned(),
            1 => "1 reset is among them and in no count".to_owned(),
            resets => format!("{} are among them and in no count", many(resets, "reset")),
        };
        notes.push(format!("{} without a timestamp: {among}.", many(reading.without_timestamp, "record")));
    }
    if reading.without_zone > 0 {
        notes.push(format!(
            "{} without a time zone, read as {} where the log itself does not show another; --log-tz sets it.",
            many(reading.without_zone, "timestamp"),
            sources.log_zone
        ));
    }
    if reading.without_date > 0 {
        notes.push(format!(
            "{} without a year, or with a day that may be a month: read by the log's other times, its name or its age.",
            many(reading.without_date, "timestamp")
        ));
    }
    for (name, same_as) in &sources.duplicates {
        notes.push(format!("{name} has the same content as {same_as} and was counted once."));
    }
    if reading.cut_lines > 0 {
        notes.push(format!("{} of more than 1 MiB, cut there.", many(reading.cut_lines, "line")));
    }
    if reading.invalid_utf8 > 0 {
        notes.push(format!(
            "{} with invalid UTF-8, read with replacement characters.",
            many(reading.invalid_utf8, "line")
        ));
    }
    if reading.beyond_bounds > 0 {
        notes.push(format!(
            "{} left out: the input has too many distinct services and times.",
            many(reading.beyond_bounds, "record")
        ));
    }
}

fn of_comparison(notes: &mut Vec<String>, comparison: &MarkComparison) {
    let mark = quoted(&comparison.mark.label);
    let whole: Vec<&str> =
        comparison.services.iter().filter(|(_, sides)| sides.whole_stretch).map(|(name, _)| name.as_str()).collect();
    if !whole.is_empty() {
        notes.push(format!(
            "{} has failures only: around {mark} an hour without a record was taken as an hour without a failure. If the log was not written all the time, the comparison is wrong.",
            whole.join(", ")
        ));
    }
    if comparison.all.dispersion.is_some_and(|dispersion| dispersion > 3.0) {
        notes.push(format!(
            "The resets come in bursts (before {mark}, the hourly counts vary {:.0} times as much as chance alone would make them): read the interval as narrower than the truth.",
            comparison.all.dispersion.unwrap_or_default()
        ));
    }
    if comparison.uneven {
        notes.push(format!(
            "The services do not have logs of the same hours around {mark}: read their own comparisons rather than the one of all together."
        ));
    }
    if !comparison.one_sided.is_empty() {
        notes.push(format!(
            "In no comparison, because they have logs on one side of {mark} only: {}.",
            comparison.one_sided.join(", ")
        ));
    }
}

fn many(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.004_56, "0.0046"),
            (0.5, "0.5"),
            (3.94, "3.9"),
            (12.4, "12"),
            (1_234.5, "1,235"),
            (f64::INFINITY, "∞"),
        ] {
            assert_eq!(significant(value), text);
        }
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123), "123");
    }
}
