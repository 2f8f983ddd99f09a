//! The chart as a picture: bars stacked by service, a legend, the marks, and hatching where there are no logs.
//!
//! plotters draws axes, grid and bars. What it has no word for (hatching, tooltips, colours that follow the reader's
//! light or dark ground) is added to its SVG, at the places it gives.

use std::fmt::Write as _;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::sentences::nothing;
use super::table::shortened;
use super::{ResetsReport, ServiceRow, grouped};
use crate::report::escape::escape;

const WIDTH: u32 = 1100;
const LEGEND: i32 = 230;
const INK: RGBColor = RGBColor(0x66, 0x66, 0x66);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
const MARK: RGBColor = RGBColor(0xb0, 0x00, 0x5a);

/// Okabe and Ito's palette, which colour-blind readers tell apart ("Color Universal Design", 2008), without its black
/// and its yellow, which the two grounds swallow; the last is for all other services.
const SERIES: [(u8, u8, u8); 9] = [
    (0x00, 0x72, 0xb2),
    (0xe6, 0x9f, 0x00),
    (0x00, 0x9e, 0x73),
    (0xd5, 0x5e, 0x00),
    (0xcc, 0x79, 0xa7),
    (0x56, 0xb4, 0xe9),
    (0x8c, 0x6b, 0xb1),
    (0xa6, 0x76, 0x1d),
    (0x8a, 0x8a, 0x8a),
];

/// Why a picture could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("the picture could not be drawn: {0}")]
pub struct DrawError(String);

/// The chart as an SVG document.
///
/// # Errors
/// When plotters refuses to draw, which it does for no report.
pub fn svg(report: &ResetsReport) -> Result<String, DrawError> {
    let mut drawn = String::new();
    let overlay = draw(report, &mut drawn).map_err(|error| DrawError(error.to_string()))?;
    let body = drawn.strip_suffix("</svg>\n").or_else(|| drawn.strip_suffix("</svg>")).unwrap_or(&drawn);
    let (head, body) =
        body.split_at(body.find("xmlns=").map_or(0, |at| at + body[at..].find('>').map_or(0, |end| end + 1)));
    let head = head.replacen(
        "<svg ",
        "<svg role=\"img\" aria-labelledby=\"resets-title\" font-family=\"system-ui, sans-serif\" ",
        1,
    );
    Ok(format!("{head}\n<title id=\"resets-title\">{}</title>\n{STYLE}\n{body}{overlay}</svg>\n", xml(&title(report))))
}

/// A rule of a style sheet goes before the attributes that plotters writes.
const STYLE: &str = "<style>svg{background:#fff}text{fill:#333;font-family:system-ui,sans-serif}.day{fill:#000;fill-opacity:0}.day:hover{fill-opacity:.07}.mark{fill:#b0005a}@media (prefers-color-scheme:dark){svg{background:#16181d}text{fill:#ddd}.day{fill:#fff}[stroke=\"#DDDDDD\"]{stroke:#3a3d45}[stroke=\"#B0005A\"]{stroke:#ff7ab8}.mark{fill:#ff7ab8}}</style>\n<defs><pattern id=\"nologs\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"6\" stroke=\"#999\" stroke-width=\"1.5\"/></pattern></defs>";

fn title(report: &ResetsReport) -> String {
    format!("Connection resets by {} ({}): {}", report.by, report.time_zone, grouped(report.total.resets))
}

/// Which colour a service has; beyond the palette its colours come again, lighter each time.
pub(super) fn colour_of(report: &ResetsReport, index: usize) -> (u8, u8, u8) {
    let own = SERIES.len() - 1;
    if report.services[index].name == crate::resets::OTHER {
        return SERIES[own];
    }
    let (r, g, b) = SERIES[index % own];
    let lighter = |part: u8| {
        let steps = u32::try_from(index / own).unwrap_or(0).min(3);
        u8::try_from(u32::from(part) + (255 - u32::from(part)) * steps / 5).unwrap_or(u8::MAX)
    };
    (lighter(r), lighter(g), lighter(b))
}

/// A service as it is shown: what `--top` cut off by its number.
pub(super) fn shown_name(report: &ResetsReport, index: usize) -> String {
    let name = &report.services[index].name;
    if name == crate::resets::OTHER { format!("{} more", report.other_services) } else { name.clone() }
}

/// Draws, and gives what is to be laid over it.
fn draw(report: &ResetsReport, target: &mut String) -> Result<String, Box<dyn std::error::Error>> {
    let rows = i32::try_from(report.services.len()).unwrap_or(0);
    let height = u32::try_from((rows * 22 + 120).max(440)).unwrap_or(440);
    let root = SVGBackend::with_string(target, (WIDTH, height)).into_drawing_area();
    let right = i32::try_from(WIDTH)? - LEGEND;
    root.draw_text(&title(report), &("sans-serif", 18).into_font().color(&INK), (16, 14))?;
    let count = report.buckets.len();
    if count == 0 {
        root.draw_text(&nothing(report), &("sans-serif", 14).into_font().color(&INK), (16, 60))?;
        root.present()?;
        return Ok(String::new());
    }
    let most = report.total.per_bucket.iter().flatten().copied().max().unwrap_or(0).max(1);
    let (area, _) = root.split_horizontally(right);
    let (columns, top) = (count as f64, most as f64 * 1.08);
    let mut chart = ChartBuilder::on(&area)
        .margin_top(62)
        .margin_left(8)
        .x_label_area_size(64)
        .y_label_area_size(62)
        .build_cartesian_2d(0.0..columns, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_labels(6)
        .y_desc("resets")
        .axis_style(INK)
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .label_style(("sans-serif", 12).into_font().color(&INK))
        .y_label_formatter(&|value| {
            let whole = value.round() as u64;
            if (value - value.round()).abs() < 1e-9 { grouped(whole) } else { String::new() }
        })
        .draw()?;
    let gap = if count > 200 { 0.0 } else { 0.1 };
    for bucket in 0..count {
        let x = bucket as f64;
        let mut base = 0_u64;
        for (index, row) in report.services.iter().enumerate() {
            let part = row.per_bucket[bucket].unwrap_or(0);
            if part == 0 {
                continue;
            }
            let (r, g, b) = colour_of(report, index);
            let (low, high) = (base as f64, (base + part) as f64);
            chart.draw_series(std::iter::once(Rectangle::new(
                [(x + gap, low), (x + 1.0 - gap, high)],
                RGBColor(r, g, b).filled(),
            )))?;
            base += part;
        }
    }
    for mark in &report.marks {
        let Some(x) = place(report, &mark.at) else { continue };
        chart.draw_series(DashedLineSeries::new([(x, 0.0), (x, top)], 6, 4, MARK.stroke_width(2)))?;
    }
    let overlay = overlay(report, |x, y| chart.backend_coord(&(x, y)), top);
    // Labels of the columns: as many as have room, turned where there are many.
    let every = count.div_ceil(if report.by == "day" { 16 } else { 10 });
    for bucket in (0..count).step_by(every) {
        let (x, y) = chart.backend_coord(&(bucket as f64 + 0.5, 0.0));
        let label = &report.buckets[bucket].label;
        let short = label.get(5..).filter(|_| bucket > 0).unwrap_or(label);
        let style = ("sans-serif", 12).into_font().color(&INK).pos(Pos::new(HPos::Center, VPos::Top));
        root.draw_text(short.split(' ').next().unwrap_or(short), &style, (x, y + 8))?;
        if let Some(time) = short.split_once(' ') {
            root.draw_text(time.1, &style, (x, y + 23))?;
        }
    }
    legend(report, &root, right)?;
    root.present()?;
    Ok(overlay)
}

fn legend(
    report: &ResetsReport,
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    right: i32,
) -> Result<(), Box<dyn std::error::Error>> {
    let style = ("sans-serif", 13).into_font().color(&INK);
    let mut y = 64;
    // What has no bar needs no name, unless nothing has one.
    let is_drawn = |row: &ServiceRow| row.resets > 0 || report.total.resets == 0;
    for (index, row) in report.services.iter().enumerate().filter(|(_, row)| is_drawn(row)) {
        let (r, g, b) = colour_of(report, index);
        root.draw(&Rectangle::new([(right + 14, y), (right + 28, y + 12)], RGBColor(r, g, b).filled()))?;
        let name = shortened(&escape(&shown_name(report, index)), 22);
        root.draw_text(&format!("{name}  {}", grouped(row.resets)), &style, (right + 36, y))?;
        y += 22;
    }
    Ok(())
}

/// Where an instant lies among the columns; none outside them.
fn place(report: &ResetsReport, at: &str) -> Option<f64> {
    let at: jiff::Timestamp = at.parse().ok()?;
    report.buckets.iter().enumerate().find_map(|(index, bucket)| {
        let (start, end): (jiff::Timestamp, jiff::Timestamp) = (bucket.start.parse().ok()?, bucket.end.parse().ok()?);
        (start <= at && at < end)
            .then(|| index as f64 + at.duration_since(start).as_secs_f64() / end.duration_since(start).as_secs_f64())
    })
}

/// Hatching over columns without logs, the names of the marks, and a tooltip over each column.
fn overlay(report: &ResetsReport, at: impl Fn(f64, f64) -> (i32, i32), top: f64) -> String {
    let mut text = String::new();
    for (index, bucket) in report.buckets.iter().enumerate() {
        let ((left, high), (right, low)) = (at(index as f64, top), at(index as f64 + 1.0, 0.0));
        let mut tip = bucket.label.clone();
        match report.total.per_bucket[index] {
            None => tip.push_str(": no logs"),
            Some(total) => {
                let _ = write!(tip, ": {}", grouped(total));
                if let Some(part) = super::chart::covered(bucket) {
                    let _ = write!(tip, " ({part})");
                }
                for row in &report.services {
                    if let Some(resets) = row.per_bucket[index].filter(|resets| *resets > 0) {
                        let _ = write!(tip, "\n{} {}", row.name, grouped(resets));
                    }
                }
            }
        }
        let shape = format!("x=\"{left}\" y=\"{high}\" width=\"{}\" height=\"{}\"", (right - left).max(1), low - high);
        if report.total.per_bucket[index].is_none() || super::chart::covered(bucket).is_some() {
            let _ = writeln!(text, "<rect {shape} fill=\"url(#nologs)\" opacity=\"0.45\"/>");
        }
        let _ = writeln!(text, "<rect class=\"day\" {shape}><title>{}</title></rect>", xml(&tip));
    }
    let mut line = 0;
    for mark in &report.marks {
        let Some(x) = place(report, &mark.at) else { continue };
        let (x, y) = at(x, top);
        let anchor = if x > i32::try_from(WIDTH).unwrap_or(0) / 2 { "end" } else { "start" };
        let name: String = mark.label.chars().take(60).collect();
        let when = mark.at.get(..16).unwrap_or(&mark.at).replace('T', " ");
        let _ = writeln!(
            text,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\" font-size=\"12\" font-weight=\"600\" class=\"mark\">{}<title>{}</title></text>",
            y - 6 - 14 * (line % 2),
            xml(&format!("{when} {name}")),
            xml(&mark.sentence),
        );
        line += 1;
    }
    if report.total.per_bucket.iter().any(Option::is_none) {
        let (x, y) = at(0.0, 0.0);
        let _ = writeln!(
            text,
            "<rect x=\"{x}\" y=\"{}\" width=\"14\" height=\"12\" fill=\"url(#nologs)\" stroke=\"#999\"/><text x=\"{}\" y=\"{}\" font-size=\"12\">no logs (not zero)</text>",
            y + 44,
            x + 20,
            y + 54
        );
    }
    text
}

/// Text for XML: markup escaped, controls shown by their number.
pub(super) fn xml(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escape).collect();
    lines.join("\n").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
