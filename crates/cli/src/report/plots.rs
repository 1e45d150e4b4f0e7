//! The drawings of a report, as SVG that takes the page's text colour and so reads in light and dark.

use std::ops::Range;

use base64::Engine;
use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::failure::Failure;

/// Stands for the page's text colour until the drawing is finished.
const INK: RGBColor = RGBColor(1, 2, 3);
const INK_CODE: &str = "#010203";
/// Colours of curves, readable on white and on near-black.
const SOLUTION: RGBColor = RGBColor(0x2f, 0x7f, 0xd1);
const TRUTH: RGBColor = RGBColor(0xe0, 0x8a, 0x2e);
const ERROR: RGBColor = RGBColor(0xd0, 0x45, 0x5a);
const RESIDUAL: RGBColor = RGBColor(0x2f, 0x9d, 0x78);
const SERIES: [RGBColor; 8] = [
    SOLUTION,
    TRUTH,
    RESIDUAL,
    ERROR,
    RGBColor(0x8a, 0x63, 0xc9),
    RGBColor(0x7a, 0x86, 0x2c),
    RGBColor(0x2a, 0x9b, 0xa8),
    RGBColor(0x9a, 0x6a, 0x4a),
];
const FONT: &str = "sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What a curve shows; sets its colour.
#[derive(Clone, Copy, PartialEq)]
pub enum Ink {
    /// The solution.
    Solution,
    /// The exact solution.
    Truth,
    /// An error.
    Error,
    /// A residual.
    Residual,
    /// One of several things that are compared, by number.
    Series(usize),
}

impl Ink {
    fn colour(self) -> RGBColor {
        match self {
            Ink::Solution => SOLUTION,
            Ink::Truth => TRUTH,
            Ink::Error => ERROR,
            Ink::Residual => RESIDUAL,
            Ink::Series(number) => SERIES[number % SERIES.len()],
        }
    }
}

/// One curve.
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// What it shows.
    pub ink: Ink,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// One panel of curves.
pub struct Panel {
    /// Above the panel.
    pub title: String,
    /// Below the horizontal axis.
    pub horizontal: String,
    /// Whether the vertical axis is logarithmic.
    pub logarithmic: bool,
    /// The curves, later ones on top.
    pub curves: Vec<Curve>,
}

fn drawing_error(error: impl std::fmt::Display) -> Failure {
    Failure::work(format!("cannot draw: {error}"))
}

/// Draw with plotters, then let the page's text colour in.
fn draw(
    size: (u32, u32),
    paint: impl FnOnce(&Area<'_>) -> Result<Vec<String>, Failure>,
) -> Result<String, Failure> {
    let mut svg = String::new();
    let images = {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let images = paint(&root)?;
        root.present().map_err(drawing_error)?;
        images
    };
    let svg = svg.replace(INK_CODE, "currentColor");
    let end = svg.rfind("</svg>").unwrap_or(svg.len());
    Ok(format!("{}{}</svg>\n", &svg[..end], images.concat()))
}

type Chart<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// What stands around a chart.
struct Frame<'a> {
    title: &'a str,
    horizontal: &'a str,
    x: Range<f64>,
    y: Range<f64>,
    x_labels: usize,
    y_labels: usize,
    y_label: &'a dyn Fn(&f64) -> String,
}

/// A chart with its title, axes and light horizontal lines.
fn chart<'a, 'b>(area: &'b Area<'a>, frame: Frame<'_>) -> Result<Chart<'a, 'b>, Failure> {
    let mut chart = ChartBuilder::on(area)
        .caption(frame.title, (FONT, 15).into_font().color(&INK))
        .margin(6)
        .margin_right(18)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(frame.x, frame.y)
        .map_err(drawing_error)?;
    chart
        .configure_mesh()
        .axis_style(INK.mix(0.55))
        .bold_line_style(INK.mix(0.12))
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 12).into_font().color(&INK))
        .x_labels(frame.x_labels)
        .y_labels(frame.y_labels)
        .x_label_formatter(&|x| number(*x))
        .y_label_formatter(frame.y_label)
        .x_desc(frame.horizontal)
        .axis_desc_style((FONT, 13).into_font().color(&INK))
        .draw()
        .map_err(drawing_error)?;
    Ok(chart)
}

/// The legend of a chart, above on the right.
fn legend<'a: 'b, 'b>(chart: &mut Chart<'a, 'b>) -> Result<(), Failure> {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font((FONT, 12).into_font().color(&INK))
        .background_style(TRANSPARENT)
        .border_style(TRANSPARENT)
        .draw()
        .map_err(drawing_error)
}

/// Panels of curves side by side.
///
/// # Errors
/// If the drawing fails.
pub fn panels(panels: &[Panel]) -> Result<String, Failure> {
    draw((1040, 300), |root| {
        for (area, panel) in root.split_evenly((1, panels.len().max(1))).iter().zip(panels) {
            draw_panel(area, panel)?;
        }
        Ok(Vec::new())
    })
}

fn draw_panel(area: &Area<'_>, panel: &Panel) -> Result<(), Failure> {
    let transform = |y: f64| if panel.logarithmic { y.log10() } else { y };
    let curves: Vec<Vec<(f64, f64)>> = panel
        .curves
        .iter()
        .map(|curve| {
            let points = curve.points.iter().filter(|(_, y)| !panel.logarithmic || *y > 0.0);
            points.map(|&(x, y)| (x, transform(y))).filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
        })
        .collect();
    let Some(x) = extent(curves.iter().flatten().map(|point| point.0)) else { return Ok(()) };
    let Some(mut y) = extent(curves.iter().flatten().map(|point| point.1)) else { return Ok(()) };
    if panel.logarithmic {
        // Exact zeros of a pointwise error would stretch the axis without end; sixteen decades are all that f64 has.
        let legend = if panel.curves.len() > 1 { 1.0 } else { 0.0 };
        y = y.start.max(y.end - 16.0).floor()..y.end.ceil() + legend;
    } else {
        let margin = 0.06 * (y.end - y.start);
        // Room for the legend above the curves.
        y = y.start - margin..y.end + margin * if panel.curves.len() > 1 { 5.0 } else { 1.0 };
    }
    if y.end - y.start < 1e-300 {
        y = y.start - 0.5..y.end + 0.5;
    }
    let decades = (y.end - y.start).round() as usize;
    let every = decades.div_ceil(8).max(1) as i64;
    let label = |y: &f64| if panel.logarithmic { power_of_ten(*y, every) } else { number(*y) };
    let frame = Frame {
        title: &panel.title,
        horizontal: &panel.horizontal,
        x: x.clone(),
        y: y.clone(),
        x_labels: 8,
        y_labels: if panel.logarithmic { decades + 1 } else { 6 },
        y_label: &label,
    };
    let mut chart = chart(area, frame)?;
    for (curve, points) in panel.curves.iter().zip(curves) {
        let (colour, width) = (
            curve.ink.colour(),
            match curve.ink {
                Ink::Truth => 6,
                Ink::Solution | Ink::Series(_) => 2,
                Ink::Error | Ink::Residual => 1,
            },
        );
        let points = points.into_iter().map(|(x, v)| (x, v.clamp(y.start, y.end)));
        let opacity = if curve.ink == Ink::Truth { 0.6 } else { 1.0 };
        let style = colour.mix(opacity).stroke_width(width);
        chart
            .draw_series(LineSeries::new(points, style))
            .map_err(drawing_error)?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    if panel.curves.len() > 1 {
        legend(&mut chart)?;
    }
    Ok(())
}

/// Values with error bars: `(position, value, radius)`.
///
/// # Errors
/// If the drawing fails.
pub fn error_bars(title: &str, horizontal: &str, bars: &[(f64, f64, f64)]) -> Result<String, Failure> {
    let finite = |bar: &&(f64, f64, f64)| bar.1.is_finite() && bar.2.is_finite();
    let bars: Vec<(f64, f64, f64)> = bars.iter().filter(finite).copied().collect();
    draw((1040, 300), |root| {
        let ends = bars.iter().flat_map(|(_, value, radius)| [value - radius, value + radius]);
        let Some(mut y) = extent(ends) else { return Ok(Vec::new()) };
        let margin = 0.06 * (y.end - y.start) + 1e-300;
        y = y.start - margin..y.end + margin;
        let right = bars.iter().map(|bar| bar.0).fold(1.0, f64::max) + 0.5;
        let frame = Frame {
            title,
            horizontal,
            x: 0.5..right,
            y,
            x_labels: 12,
            y_labels: 6,
            y_label: &|y| number(*y),
        };
        let mut chart = chart(root, frame)?;
        let line = TRUTH.stroke_width(2);
        chart
            .draw_series(bars.iter().map(|&(x, v, r)| PathElement::new([(x, v - r), (x, v + r)], line)))
            .map_err(drawing_error)?;
        chart
            .draw_series(bars.iter().map(|&(x, v, _)| Circle::new((x, v), 2, SOLUTION.filled())))
            .map_err(drawing_error)?;
        Ok(Vec::new())
    })
}

/// A learned spectrum: weights (as a fraction of the largest, logarithmic) over frequencies, with true frequencies marked.
///
/// # Errors
/// If the drawing fails.
pub fn spectrum(title: &str, components: &[(f64, f64)], truth: &[f64]) -> Result<String, Failure> {
    const DECADES: f64 = 6.0;
    let heaviest = components.iter().map(|(_, weight)| *weight).fold(0.0, f64::max);
    let highest = components.iter().map(|(frequency, _)| frequency.abs()).fold(0.0, f64::max);
    let right = truth.iter().copied().fold(highest, f64::max) * 1.04 + 1e-9;
    draw((1040, 270), |root| {
        let frame = Frame {
            title,
            horizontal: "frequency (cycles per unit length)",
            x: 0.0..right,
            y: -DECADES..0.35,
            x_labels: 10,
            y_labels: 7,
            y_label: &|y| power_of_ten(*y, 1),
        };
        let mut chart = chart(root, frame)?;
        let mark = TRUTH.mix(0.6).stroke_width(7);
        let marks = truth.iter().map(|&f| PathElement::new([(f, -DECADES), (f, 0.3)], mark));
        let drawn = chart.draw_series(marks).map_err(drawing_error)?;
        if !truth.is_empty() {
            drawn
                .label("true frequencies")
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], mark));
        }
        let stems: Vec<(f64, f64)> = components
            .iter()
            .filter(|(_, weight)| *weight > 0.0 && heaviest > 0.0)
            .map(|(frequency, weight)| (frequency.abs(), (weight / heaviest).log10()))
            .filter(|(_, height)| *height > -DECADES)
            .collect();
        let line = SOLUTION.stroke_width(2);
        chart
            .draw_series(stems.iter().map(|&(f, h)| PathElement::new([(f, -DECADES), (f, h)], line)))
            .map_err(drawing_error)?
            .label("weight of each component, of the largest")
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], line));
        chart
            .draw_series(stems.iter().map(|&point| Circle::new(point, 3, SOLUTION.filled())))
            .map_err(drawing_error)?;
        legend(&mut chart)?;
        Ok(Vec::new())
    })
}

/// Values on a grid of two axes, row-major, the first axis to the right.
pub struct HeatMap<'a> {
    /// Above the map.
    pub title: String,
    /// Names of the axes.
    pub names: [String; 2],
    /// The grid.
    pub axes: [&'a [f64]; 2],
    /// The values.
    pub values: Vec<f64>,
    /// Whether colours follow the logarithm (for errors).
    pub logarithmic: bool,
    /// The values at the ends of the colour bar; absent: the values' own extent.
    pub range: Option<(f64, f64)>,
}

impl HeatMap<'_> {
    /// Draw the map with its colour bar.
    ///
    /// # Errors
    /// If the drawing fails.
    pub fn draw(&self) -> Result<String, Failure> {
        let transform = |v: f64| if self.logarithmic { v.max(f64::MIN_POSITIVE).log10() } else { v };
        let finite = self.values.iter().copied().map(transform).filter(|v| v.is_finite());
        let mut range = match self.range {
            Some((low, high)) => transform(low)..transform(high),
            None => extent(finite).unwrap_or(0.0..1.0),
        };
        if self.logarithmic {
            range = range.start.max(range.end - 6.0)..range.end;
        }
        if range.end - range.start < 1e-12 * range.end.abs().max(1e-300) {
            range = range.start - 0.5..range.end + 0.5;
        }
        let palette: fn(f64) -> [u8; 3] = if self.logarithmic { inferno } else { viridis };
        let (columns, rows) = (self.axes[0].len(), self.axes[1].len());
        let mut pixels = Vec::with_capacity(columns * rows * 3);
        for j in (0..rows).rev() {
            for i in 0..columns {
                let value = transform(self.values[i * rows + j]);
                let place = (value - range.start) / (range.end - range.start);
                pixels.extend(if place.is_finite() { palette(place) } else { [128, 128, 128] });
            }
        }
        let bar: Vec<u8> = (0..256).rev().flat_map(|step| palette(f64::from(step) / 255.0)).collect();
        draw((345, 300), |root| {
            let (left, right) = root.split_horizontally(262);
            let bounds = [self.axes[0], self.axes[1]].map(|axis| axis[0]..axis[axis.len() - 1]);
            let [horizontal, vertical] = bounds;
            let mut chart = ChartBuilder::on(&left)
                .caption(&self.title, (FONT, 14).into_font().color(&INK))
                .margin(4)
                .x_label_area_size(36)
                .y_label_area_size(48)
                .build_cartesian_2d(horizontal, vertical)
                .map_err(drawing_error)?;
            chart
                .configure_mesh()
                .disable_mesh()
                .axis_style(INK.mix(0.55))
                .label_style((FONT, 11).into_font().color(&INK))
                .x_labels(4)
                .y_labels(5)
                .x_label_formatter(&|x| number(*x))
                .y_label_formatter(&|y| number(*y))
                .x_desc(&self.names[0])
                .y_desc(&self.names[1])
                .axis_desc_style((FONT, 12).into_font().color(&INK))
                .draw()
                .map_err(drawing_error)?;
            let place = chart.plotting_area().get_pixel_range();
            let label = |y: &f64| if self.logarithmic { power_of_ten_exact(*y) } else { number(*y) };
            let mut scale = ChartBuilder::on(&right)
                .caption(" ", (FONT, 14))
                .margin(4)
                .margin_right(50)
                .x_label_area_size(36)
                .right_y_label_area_size(0)
                .build_cartesian_2d(0.0..1.0, range.clone())
                .map_err(drawing_error)?
                .set_secondary_coord(0.0..1.0, range.clone());
            let bar_place = scale.plotting_area().get_pixel_range();
            scale
                .configure_secondary_axes()
                .axis_style(TRANSPARENT)
                .label_style((FONT, 11).into_font().color(&INK))
                .draw()
                .map_err(drawing_error)?;
            let (bar_x, bar_y) = bar_place.clone();
            let ticks = 5;
            for tick in 0..=ticks {
                let share = f64::from(tick) / f64::from(ticks);
                let value = range.start + share * (range.end - range.start);
                let y = bar_y.end - (share * f64::from(bar_y.end - bar_y.start)) as i32;
                let style = (FONT, 11).into_font().color(&INK);
                root.draw(&Text::new(label(&value), (bar_x.end + 5, y - 5), style)).map_err(drawing_error)?;
            }
            Ok(vec![image(columns, rows, &pixels, place)?, image(1, 256, &bar, bar_place)?])
        })
    }
}

/// An SVG image element that shows RGB pixels.
fn image(
    width: usize,
    height: usize,
    pixels: &[u8],
    place: (Range<i32>, Range<i32>),
) -> Result<String, Failure> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(drawing_error)?;
    writer.write_image_data(pixels).map_err(drawing_error)?;
    writer.finish().map_err(drawing_error)?;
    let data = base64::engine::general_purpose::STANDARD.encode(file);
    let (x, y) = place;
    Ok(format!(
        "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
         href=\"data:image/png;base64,{data}\"/>\n",
        x.start,
        y.start,
        x.end - x.start,
        y.end - y.start
    ))
}

fn extent(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    (low <= high).then_some(low..high)
}

/// A number on a linear axis.
fn number(value: f64) -> String {
    if value.abs() < 1e-12 {
        return "0".to_string();
    }
    if (1e-3..1e5).contains(&value.abs()) {
        let text = format!("{value:.4}");
        return text.trim_end_matches('0').trim_end_matches('.').replace('-', "−");
    }
    let text = format!("{value:.2e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.').replace('-', "−");
    format!("{mantissa}·10{}", superscript(exponent))
}

/// 10^exponent, where the exponent is a multiple of `every`; else nothing.
fn power_of_ten(exponent: f64, every: i64) -> String {
    let whole = exponent.round();
    if (exponent - whole).abs() > 1e-6 || (whole as i64).rem_euclid(every) != 0 {
        return String::new();
    }
    format!("10{}", superscript(&format!("{whole:.0}")))
}

fn power_of_ten_exact(exponent: f64) -> String {
    format!("{:.0e}", 10f64.powf(exponent)).replace('-', "−")
}

fn superscript(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '-' => '⁻',
            '1' => '¹',
            '2' => '²',
            '3' => '³',
            '0' | '4'..='9' => char::from_u32(0x2070 + (c as u32 - '0' as u32)).unwrap_or(c),
            other => other,
        })
        .collect()
}

fn interpolate(stops: &[[u8; 3]], place: f64) -> [u8; 3] {
    let place = place.clamp(0.0, 1.0) * (stops.len() - 1) as f64;
    let lower = (place as usize).min(stops.len() - 2);
    let share = place - lower as f64;
    std::array::from_fn(|k| {
        let (a, b) = (f64::from(stops[lower][k]), f64::from(stops[lower + 1][k]));
        (a + share * (b - a)).round() as u8
    })
}

fn viridis(place: f64) -> [u8; 3] {
    const STOPS: [[u8; 3]; 9] = [
        [68, 1, 84],
        [71, 44, 122],
        [59, 81, 139],
        [44, 113, 142],
        [33, 144, 141],
        [39, 173, 129],
        [92, 200, 99],
        [170, 220, 50],
        [253, 231, 37],
    ];
    interpolate(&STOPS, place)
}

fn inferno(place: f64) -> [u8; 3] {
    const STOPS: [[u8; 3]; 9] = [
        [0, 0, 4],
        [31, 12, 72],
        [85, 15, 109],
        [136, 34, 106],
        [186, 54, 85],
        [227, 89, 51],
        [249, 140, 10],
        [249, 201, 50],
        [252, 255, 164],
    ];
    interpolate(&STOPS, place)
}
