//! The pictures: lines and bars as SVG, without a font library or a script.

use anyhow::anyhow;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

const SIZE: (u32, u32) = (760, 400);
/// Of a picture with bars, beside them, and what each group with its name takes; many groups make it wider.
const AXIS_WIDTH: u32 = 90;
const GROUP_WIDTH: u32 = 125;
const FONT: &str = "sans-serif";
/// Told apart with most kinds of colour blindness, too.
const COLOURS: &[RGBColor] = &[
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];

/// Where a picture has room for the names of its lines.
pub type Corner = SeriesLabelPosition;

pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// What an axis measures, and whether it counts in powers of ten.
pub struct Axis {
    pub title: &'static str,
    pub log: bool,
    pub label: fn(&f64) -> String,
}

pub struct Group {
    pub name: String,
    /// In the order of the brokers; a missing bar leaves its place empty.
    pub bars: Vec<Option<Bar>>,
}

#[derive(Clone, Copy)]
pub struct Bar {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// Thousands and millions for axes.
pub fn plain(value: &f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{}M", trimmed(value / 1e6)),
        size if size >= 1e4 => format!("{}k", trimmed(value / 1e3)),
        _ => trimmed(*value),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub fn lines(title: &str, x: &Axis, y: &Axis, corner: Corner, lines: &[Line]) -> anyhow::Result<String> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let (x_low, x_high) = bounds(points().map(|point| point.0), x.log);
    let (y_low, y_high) = bounds(points().map(|point| point.1), y.log);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(drawing)?;
        let frame = Frame { title, x, y, corner };
        match (x.log, y.log) {
            (true, true) => draw(
                &area,
                &frame,
                (x_low..x_high).log_scale(),
                (y_low..y_high).log_scale(),
                lines,
            )?,
            (false, true) => draw(&area, &frame, x_low..x_high, (y_low..y_high).log_scale(), lines)?,
            (true, false) => draw(&area, &frame, (x_low..x_high).log_scale(), y_low..y_high, lines)?,
            (false, false) => draw(&area, &frame, x_low..x_high, y_low..y_high, lines)?,
        }
        area.present().map_err(drawing)?;
    }
    Ok(svg)
}

/// What stands around the lines.
struct Frame<'a> {
    title: &'a str,
    x: &'a Axis,
    y: &'a Axis,
    corner: Corner,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw<X, Y>(area: &Area<'_>, frame: &Frame<'_>, xs: X, ys: Y, lines: &[Line]) -> anyhow::Result<()>
where
    X: AsRangedCoord<Value = f64, CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>>,
    Y: AsRangedCoord<Value = f64, CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>>,
{
    let mut chart = ChartBuilder::on(area)
        .caption(frame.title, (FONT, 17))
        .margin(12)
        .margin_right(30)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(xs, ys)
        .map_err(drawing)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(frame.x.title)
        .y_desc(frame.y.title)
        .x_label_formatter(&frame.x.label)
        .y_label_formatter(&frame.y.label)
        .label_style((FONT, 13))
        .draw()
        .map_err(drawing)?;
    for (at, line) in lines.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), colour.stroke_width(2)))
            .map_err(drawing)?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)));
        // A line of one point is not seen.
        let dots = line.points.iter().filter(|_| line.points.len() < 30);
        chart
            .draw_series(dots.map(|point| Circle::new(*point, 3, colour.filled())))
            .map_err(drawing)?;
    }
    chart
        .configure_series_labels()
        .position(frame.corner.clone())
        .background_style(WHITE.mix(0.8))
        .border_style(TRANSPARENT)
        .label_font((FONT, 13))
        .draw()
        .map_err(drawing)
}

/// Three digits.
fn figure(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// Groups side by side, one bar per broker with its 95 % interval.
pub fn bars(title: &str, unit: &str, names: &[String], groups: &[Group]) -> anyhow::Result<String> {
    let highest = groups
        .iter()
        .flat_map(|group| group.bars.iter().flatten())
        .map(|bar| bar.high)
        .fold(0.0, f64::max);
    let slots = names.len() as f64 + 1.0;
    let width = SIZE.0.max(AXIS_WIDTH + groups.len() as u32 * GROUP_WIDTH);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, SIZE.1)).into_drawing_area();
        area.fill(&WHITE).map_err(drawing)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, (FONT, 17))
            .margin(12)
            .x_label_area_size(34)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..groups.len() as f64 * slots, 0.0..highest.max(1e-9) * 1.18)
            .map_err(drawing)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .y_desc(unit)
            .y_label_formatter(&plain)
            .x_labels(0)
            .label_style((FONT, 13))
            .draw()
            .map_err(drawing)?;
        for (broker, name) in names.iter().enumerate() {
            let colour = COLOURS[broker % COLOURS.len()];
            let of = |at: usize| groups[at].bars.get(broker).copied().flatten().map(|bar| (at, bar));
            let left = |at: usize| at as f64 * slots + 0.5 + broker as f64;
            let placed: Vec<(usize, Bar)> = (0..groups.len()).filter_map(of).collect();
            let boxes = placed.iter().map(|(at, bar)| {
                Rectangle::new(
                    [(left(*at) + 0.06, 0.0), (left(*at) + 0.94, bar.value)],
                    colour.mix(0.8).filled(),
                )
            });
            chart
                .draw_series(boxes)
                .map_err(drawing)?
                .label(name)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour.mix(0.8).filled()));
            let whiskers = placed.iter().map(|(at, bar)| {
                let middle = left(*at) + 0.5;
                PathElement::new([(middle, bar.low), (middle, bar.high)], BLACK.stroke_width(2))
            });
            chart.draw_series(whiskers).map_err(drawing)?;
            let figures = placed.iter().map(|(at, bar)| {
                Text::new(
                    figure(bar.value),
                    (left(*at) + 0.1, bar.high + highest * 0.05),
                    (FONT, 12).into_font(),
                )
            });
            chart.draw_series(figures).map_err(drawing)?;
        }
        for (at, group) in groups.iter().enumerate() {
            let (x, y) = chart.backend_coord(&(at as f64 * slots + 0.5, 0.0));
            area.draw(&Text::new(group.name.clone(), (x, y + 12), (FONT, 13).into_font()))
                .map_err(drawing)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.8))
            .border_style(TRANSPARENT)
            .label_font((FONT, 13))
            .draw()
            .map_err(drawing)?;
        area.present().map_err(drawing)?;
    }
    Ok(svg)
}

/// Room for all values: whole powers of ten on a logarithmic axis, from 0 on a plain one.
fn bounds(values: impl Iterator<Item = f64>, log: bool) -> (f64, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) = finite.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    if low > high {
        return (if log { 1.0 } else { 0.0 }, 10.0);
    }
    if !log {
        return (low.min(0.0), high * 1.15 + f64::from(u8::from(high == 0.0)));
    }
    let power = |value: f64| value.max(1e-6).log10();
    let (first, last) = (power(low).floor(), power(high).ceil());
    (
        10f64.powf(first),
        10f64.powf(if last > first { last } else { first + 1.0 }),
    )
}

fn drawing(problem: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("draw: {problem}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_all_its_values() {
        assert_eq!(bounds([3.0, 450.0].into_iter(), true), (1.0, 1_000.0));
        assert_eq!(bounds([10.0].into_iter(), true), (10.0, 100.0));
        assert_eq!(bounds([2.0, 10.0].into_iter(), false), (0.0, 11.5));
        assert_eq!(bounds(std::iter::empty(), false), (0.0, 10.0));
    }

    #[test]
    fn a_picture_shows_its_names_and_figures() {
        let bar = Bar {
            value: 312.0,
            low: 300.0,
            high: 320.0,
        };
        let group = Group {
            name: "1 KiB".to_owned(),
            bars: vec![Some(bar), None],
        };
        let svg = bars(
            "Throughput",
            "MB/s",
            &["ours".to_owned(), "theirs".to_owned()],
            &[group],
        )
        .unwrap();
        for text in ["Throughput", "MB/s", "ours", "theirs", "1 KiB", "312"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
