//! A mixed graph, drawn: vertices on a circle, effects as dark arrows, correlated errors as dashed arcs with two heads.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use mathesis_solvers::structural::MixedGraph;

const DIRECTED: &str = "#1f4e9c";
const BIDIRECTED: &str = "#c2410c";
/// Radius of a vertex.
const VERTEX: f64 = 22.0;

/// The graph as SVG.
pub fn draw(graph: &MixedGraph) -> String {
    let count = graph.len();
    let radius = if count == 1 { 0.0 } else { (VERTEX * 3.4 * count as f64 / TAU).max(95.0) };
    let center = radius + 3.0 * VERTEX;
    let size = 2.0 * center;
    let places: Vec<Point> = (0..count)
        .map(|k| {
            // The first vertex on top, the others clockwise.
            let angle = TAU * k as f64 / count as f64 - TAU / 4.0;
            (center + radius * angle.cos(), center + radius * angle.sin())
        })
        .collect();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size:.0} {size:.0}\" width=\"{0:.0}\" height=\"{0:.0}\" \
         font-family=\"sans-serif\" font-size=\"15\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
        size.min(560.0)
    );
    let middle = (center, center);
    for edge in graph.directed() {
        // Of two opposite arrows each bends to its own right; a lone one is nearly straight.
        let opposite = graph.directed().contains(&(edge.1, edge.0));
        let bend = if opposite { 0.22 } else { 0.06 };
        arrow(&mut svg, places[edge.0], places[edge.1], bend, DIRECTED, false);
    }
    for (a, b) in graph.bidirected() {
        // Neighbours on the circle are joined outside of it; others inside, where an arc outside would cross vertices.
        let (from, to) = (places[*a], places[*b]);
        let outwards = if cross(from, to, middle) > 0.0 { -1.0 } else { 1.0 };
        let neighbours = b - a == 1 || b - a == count - 1;
        let bend = if neighbours { 0.34 * outwards } else { -0.16 * outwards };
        arrow(&mut svg, from, to, bend, BIDIRECTED, true);
    }
    for (name, (x, y)) in graph.names().iter().zip(&places) {
        let short: String = if name.chars().count() > 6 {
            name.chars().take(5).chain(['…']).collect()
        } else {
            name.clone()
        };
        let font = if short.chars().count() > 3 { 11 } else { 15 };
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{VERTEX}\" fill=\"#f3f4f6\" stroke=\"#374151\" stroke-width=\"1.5\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#111827\" font-size=\"{font}\">{}\
             <title>{}</title></text>",
            y + 5.0,
            escaped(&short),
            escaped(name)
        );
    }
    svg.push_str("</svg>\n");
    svg
}

type Point = (f64, f64);

/// Positive if `c` lies to the right of the way from `a` to `b` as drawn, with y downwards.
fn cross(a: Point, b: Point, c: Point) -> f64 {
    (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0)
}

/// A quadratic curve from vertex to vertex whose middle is off the straight line, to its right, by `bend` of its length.
fn arrow(svg: &mut String, from: Point, to: Point, bend: f64, colour: &str, both: bool) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    // The control point is twice as far from the line as the curve's middle.
    let control = ((from.0 + to.0) / 2.0 - 2.0 * bend * dy, (from.1 + to.1) / 2.0 + 2.0 * bend * dx);
    let start = towards(from, control, VERTEX + 2.0);
    let end = towards(to, control, VERTEX + 2.0);
    let dash = if both { " stroke-dasharray=\"7 4\"" } else { "" };
    let _ = writeln!(
        svg,
        "<path d=\"M{:.1} {:.1} Q{:.1} {:.1} {:.1} {:.1}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
        start.0, start.1, control.0, control.1, end.0, end.1
    );
    head(svg, control, end, colour);
    if both {
        head(svg, control, start, colour);
    }
}

fn towards(from: Point, to: Point, distance: f64) -> Point {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx.hypot(dy).max(1e-9);
    (from.0 + dx / length * distance, from.1 + dy / length * distance)
}

/// An arrow head at `tip`, coming from `from`.
fn head(svg: &mut String, from: Point, tip: Point, colour: &str) {
    let back = towards(tip, from, 11.0);
    let (dx, dy) = ((tip.0 - back.0) * 0.42, (tip.1 - back.1) * 0.42);
    let _ = writeln!(
        svg,
        "<path d=\"M{:.1} {:.1} L{:.1} {:.1} L{:.1} {:.1} Z\" fill=\"{colour}\"/>",
        tip.0,
        tip.1,
        back.0 - dy,
        back.1 + dx,
        back.0 + dy,
        back.1 - dx
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_edge_is_drawn_in_its_own_way() {
        let graph = MixedGraph::parse("a -> b -> a, b <-> c, \"x<y\"", None).unwrap();
        let svg = draw(&graph);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert_eq!(svg.matches(" Q").count(), 3);
        assert_eq!(svg.matches("stroke-dasharray").count(), 1);
        assert_eq!(svg.matches("Z\"").count(), 4, "one head for an effect, two for a correlation");
        assert!(svg.contains("x&lt;y") && !svg.contains("NaN"));
        assert!(!draw(&MixedGraph::parse("a", None).unwrap()).contains("NaN"));
    }
}
