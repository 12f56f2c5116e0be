//! Plots as SVG. Text and axes have the colour of the page's text, so that they are readable on any background.

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use std::ops::Range;

/// A plot of a page.
#[derive(Debug)]
pub enum Plot {
    /// Bars side by side.
    Bars(Bars),
    /// Lines.
    Curve(Curve),
}

/// One stacked bar for each server.
#[derive(Debug)]
pub struct Bars {
    /// What it shows.
    pub title: &'static str,
    /// The unit of the height.
    pub unit: &'static str,
    /// The parts of each bar, from below.
    pub parts: Vec<&'static str>,
    /// The bars.
    pub stacks: Vec<Stack>,
}

/// A bar.
#[derive(Debug)]
pub struct Stack {
    /// The server.
    pub name: String,
    /// The heights of its parts.
    pub parts: Vec<f64>,
    /// The least and the most of all rounds, of the whole bar.
    pub spread: (f64, f64),
}

/// Lines, one for each server.
#[derive(Debug)]
pub struct Curve {
    /// What it shows.
    pub title: &'static str,
    /// Name and scale.
    pub x: (&'static str, Scale),
    /// Name and scale.
    pub y: (&'static str, Scale),
    /// Name and points.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// The scale of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From 0.
    Linear,
    /// Decades.
    Log,
    /// Percentiles: 90, 99 and 99.9 have the same distance.
    Percentile,
}

/// Replaced by the colour of the page's text.
const INK: RGBColor = RGBColor(1, 2, 3);
const INK_HEX: &str = "#010203";
/// Readable on white and on a dark background.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0x2f, 0x81, 0xd6),
    RGBColor(0xd0, 0x70, 0x2a),
    RGBColor(0x3f, 0x9a, 0x50),
    RGBColor(0xa0, 0x6c, 0xc8),
    RGBColor(0xc2, 0x4b, 0x6e),
];
const SIZE: (u32, u32) = (760, 380);
const FONT: &str = "sans-serif";

impl Plot {
    /// What it shows.
    pub fn title(&self) -> String {
        match self {
            Self::Bars(bars) => bars.title.to_owned(),
            Self::Curve(curve) => curve.title.to_owned(),
        }
    }

    /// Below it; empty if the drawing says everything.
    pub fn caption(&self) -> String {
        match self {
            Self::Bars(bars) => {
                format!(
                    "{}, {}. The line at the top of a bar is the spread of the rounds.",
                    bars.title, bars.unit
                )
            }
            Self::Curve(_) => String::new(),
        }
    }

    /// The drawing.
    pub fn svg(&self) -> anyhow::Result<String> {
        let mut svg = String::new();
        match self {
            Self::Bars(bars) => bars.draw(&mut svg)?,
            Self::Curve(curve) => curve.draw(&mut svg)?,
        }
        // A drawing inside a page has no declaration.
        let start = svg.find("<svg").unwrap_or(0);
        Ok(svg.split_off(start).replace(INK_HEX, "currentColor"))
    }
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

fn text(size: u32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

impl Bars {
    fn draw(&self, svg: &mut String) -> anyhow::Result<()> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let most =
            self.stacks.iter().map(|stack| stack.spread.1.max(stack.parts.iter().sum())).fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, text(17))
            .margin(12)
            .x_label_area_size(34)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..self.stacks.len().max(1) as f64, 0.0..above(most))?;
        let name = |at: &f64| {
            let index = at.floor();
            let is_middle = (at - index - 0.5).abs() < 0.01;
            let stack = is_middle.then(|| self.stacks.get(index as usize)).flatten();
            stack.map_or_else(String::new, |stack| stack.name.clone())
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(2 * self.stacks.len() + 1)
            .x_label_formatter(&name)
            .y_label_formatter(&|at| number(*at))
            .y_desc(self.unit)
            .axis_style(INK)
            .label_style(text(13))
            .axis_desc_style(text(13))
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.15))
            .draw()?;
        for (part, title) in self.parts.iter().enumerate() {
            let bars = self.stacks.iter().enumerate().map(|(at, stack)| {
                let below: f64 = stack.parts.iter().take(part).sum();
                let height = stack.parts.get(part).copied().unwrap_or(0.0);
                Rectangle::new(
                    [(at as f64 + 0.25, below), (at as f64 + 0.75, below + height)],
                    colour(part).filled(),
                )
            });
            chart
                .draw_series(bars)?
                .label(*title)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 14, y + 5)], colour(part).filled()));
        }
        let spreads = self.stacks.iter().enumerate().map(|(at, stack)| {
            let middle = at as f64 + 0.5;
            PathElement::new(vec![(middle, stack.spread.0), (middle, stack.spread.1)], INK.stroke_width(2))
        });
        chart.draw_series(spreads)?;
        if self.parts.len() > 1 {
            legend(&mut chart, SeriesLabelPosition::UpperLeft)?;
        }
        root.present()?;
        Ok(())
    }
}

impl Curve {
    fn draw(&self, svg: &mut String) -> anyhow::Result<()> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let (x, y) =
            (self.x.1.range(points().map(|point| point.0)), self.y.1.range(points().map(|point| point.1)));
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, text(17))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(72)
            .build_cartesian_2d(x.clone(), y.clone())?;
        chart
            .configure_mesh()
            .x_labels(self.x.1.labels(&x))
            .y_labels(self.y.1.labels(&y))
            .x_label_formatter(&|at| self.x.1.label(*at))
            .y_label_formatter(&|at| self.y.1.label(*at))
            .x_desc(self.x.0)
            .y_desc(self.y.0)
            .axis_style(INK)
            .label_style(text(13))
            .axis_desc_style(text(13))
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.15))
            .draw()?;
        for (index, (name, points)) in self.lines.iter().enumerate() {
            let placed: Vec<(f64, f64)> =
                points.iter().map(|(x, y)| (self.x.1.place(*x), self.y.1.place(*y))).collect();
            if let [point] = placed[..] {
                chart.draw_series([Circle::new(point, 4, colour(index).filled())])?;
            }
            chart
                .draw_series(LineSeries::new(placed, colour(index).stroke_width(2)))?
                .label(name.clone())
                .legend(move |(x, y)| {
                    PathElement::new(vec![(x, y), (x + 16, y)], colour(index).stroke_width(3))
                });
        }
        // Percentiles rise from the left to the right.
        let place = match self.x.1 {
            Scale::Percentile => SeriesLabelPosition::LowerRight,
            Scale::Linear | Scale::Log => SeriesLabelPosition::UpperRight,
        };
        legend(&mut chart, place)?;
        root.present()?;
        Ok(())
    }
}

/// The names of the series.
fn legend<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    place: SeriesLabelPosition,
) -> anyhow::Result<()>
where
    X: Ranged + ValueFormatter<f64> + AsRangedCoord<CoordDescType = X, Value = f64>,
    Y: Ranged,
{
    chart
        .configure_series_labels()
        .position(place)
        .label_font(text(13))
        .border_style(INK.mix(0.25))
        .draw()?;
    Ok(())
}

impl Scale {
    /// Where a value is on the axis.
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Log => value.max(f64::MIN_POSITIVE).log10(),
            Self::Percentile => -(1.0 - value.clamp(0.0, 99.999) / 100.0).log10(),
        }
    }

    fn label(self, at: f64) -> String {
        match self {
            Self::Linear => number(at),
            Self::Log => number(10f64.powf(at)),
            Self::Percentile => {
                let percentile = 100.0 * (1.0 - 10f64.powf(-at));
                let text = format!("{percentile:.3}");
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        }
    }

    /// How many labels an axis has: one for each decade.
    fn labels(self, range: &Range<f64>) -> usize {
        match self {
            Self::Linear => 8,
            Self::Log | Self::Percentile => (range.end - range.start).round() as usize + 1,
        }
    }

    fn range(self, values: impl Iterator<Item = f64>) -> Range<f64> {
        let values = values.filter(|value| value.is_finite() && (self != Self::Log || *value > 0.0));
        let placed: Vec<f64> = values.map(|value| self.place(value)).collect();
        let least = placed.iter().copied().fold(f64::INFINITY, f64::min);
        let most = placed.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if placed.is_empty() {
            return 0.0..1.0;
        }
        match self {
            Self::Linear => 0.0..above(most),
            Self::Log => least.floor()..most.ceil().max(least.floor() + 1.0),
            Self::Percentile => least..most.max(least + 1.0),
        }
    }
}

/// The end of an axis from 0, above the largest value, so that the legend has room.
fn above(most: f64) -> f64 {
    if most > 0.0 { most * 1.25 } else { 1.0 }
}

/// At an axis: whole numbers have no decimals.
fn number(value: f64) -> String {
    let is_whole = (value - value.round()).abs() < 1e-9;
    if is_whole { format!("{value:.0}") } else { crate::report::short(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_place_and_label_their_values() {
        assert_eq!(Scale::Percentile.place(0.0), 0.0);
        assert!((Scale::Percentile.place(99.0) - 2.0).abs() < 1e-9);
        assert_eq!([0.0, 1.0, 2.0, 3.0].map(|at| Scale::Percentile.label(at)), ["0", "90", "99", "99.9"]);
        assert_eq!(Scale::Log.label(3.0), "1000");
        assert_eq!(Scale::Log.range([5.0, 2_000.0].into_iter()), 0.0..4.0);
        assert_eq!(Scale::Linear.range(std::iter::empty()), 0.0..1.0);
        assert_eq!(Scale::Log.range([0.0, f64::NAN].into_iter()), 0.0..1.0);
    }
}
