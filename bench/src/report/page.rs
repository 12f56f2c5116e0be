//! A page that contains everything: results as a table, plots, what was measured, where and how.

use crate::report::{Better, Head, Plot, servers, shown};
use std::fmt::Write;

/// A report as a page.
#[derive(Debug)]
pub struct Page<'a> {
    /// The results.
    pub head: &'a Head,
    /// The versions of servers, by their names.
    pub versions: Vec<(String, String)>,
    /// What a reader must know: skipped servers, void rounds, a generator that was the limit.
    pub notes: Vec<String>,
    /// In their order.
    pub plots: Vec<Plot>,
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --line: #d0d7de; --quiet: #57606a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #14181d; --line: #3b434b; --quiet: #9aa5b0; } }
@media print { :root { --ink: #000; --paper: #fff; --line: #999; --quiet: #333; } figure, table { break-inside: avoid; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto; max-width: 60rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
td small, th small { color: var(--quiet); display: block; font-weight: normal; }
.wide { overflow-x: auto; }
figure { margin: 2rem 0; } figcaption { color: var(--quiet); }
svg { max-width: 100%; height: auto; }
code { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; } dt { color: var(--quiet); } dd { margin: 0; }
";

impl Page<'_> {
    /// The page. Fails only if a plot cannot be drawn.
    pub fn html(&self) -> anyhow::Result<String> {
        let Head { kind, command, about, place, .. } = self.head;
        let title = format!("leat-bench {kind}");
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n<p>{}</p>\n{}",
            escape(about),
            self.table()
        );
        for note in &self.notes {
            let _ = writeln!(html, "<p><strong>Note:</strong> {}</p>", escape(note));
        }
        for plot in &self.plots {
            let svg = plot.svg()?;
            let _ = writeln!(
                html,
                "<figure role=\"img\" aria-label=\"{}\">{svg}<figcaption>{}</figcaption></figure>",
                escape(&plot.title()),
                escape(&plot.caption()),
            );
        }
        let _ = write!(
            html,
            "<h2>How it was measured</h2>\n<dl><dt>Machine</dt><dd>{}</dd><dt>Command</dt><dd><code>{}</code></dd></dl>\n</html>\n",
            escape(&place.to_string()),
            escape(command)
        );
        Ok(html)
    }

    /// A row for each figure, a column for each server: the median, and the spread of the rounds.
    fn table(&self) -> String {
        let figures = &self.head.figures;
        let servers = servers(figures);
        let mut html = String::from("<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">figure</th>");
        for server in &servers {
            let version =
                self.versions.iter().find(|(name, _)| name == server).map_or("", |(_, version)| version);
            let _ =
                write!(html, "<th scope=\"col\">{}<small>{}</small></th>", escape(server), escape(version));
        }
        html.push_str("</tr></thead>\n<tbody>\n");
        let mut seen: Vec<&str> = Vec::new();
        for figure in figures {
            if seen.contains(&figure.name.as_str()) {
                continue;
            }
            seen.push(&figure.name);
            let better = match figure.better {
                Better::Less => "less is better",
                Better::More => "more is better",
                Better::Neither => "",
            };
            let unit = [figure.unit.as_str(), better].into_iter().filter(|part| !part.is_empty());
            let unit = unit.collect::<Vec<_>>().join("; ");
            let _ = write!(
                html,
                "<tr><th scope=\"row\">{}<small>{}</small></th>",
                escape(&figure.name.replace('_', " ")),
                escape(&unit)
            );
            for server in &servers {
                let of = figures.iter().find(|other| other.server == *server && other.name == figure.name);
                let text =
                    of.filter(|of| !of.rounds.is_empty()).map_or("–".to_owned(), |of| shown(of.spread()));
                match text.split_once(" (") {
                    Some((median, spread)) => {
                        let _ =
                            write!(html, "<td>{median}<small>{}</small></td>", spread.trim_end_matches(')'));
                    }
                    None => {
                        let _ = write!(html, "<td>{text}</td>");
                    }
                }
            }
            html.push_str("</tr>\n");
        }
        html.push_str(
            "</tbody></table></div>\n<p>Each figure is the median of its rounds, above their spread.</p>\n",
        );
        html
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Place;
    use crate::report::{Bars, Curve, Figure, Scale, Stack};

    #[test]
    fn a_page_has_a_table_with_units_and_all_plots_and_no_text_as_markup() {
        let cpu = |server: &str, rounds: &[f64]| {
            Figure::new(server, ("cpu_per_packet", "ns", Better::Less), rounds.to_vec())
        };
        let figures = vec![cpu("leat", &[1.0, 3.0, 2.0]), cpu("<b>", &[])];
        let head = Head::new("compare", "1 < 2 & 3".to_owned(), Place::here(), figures);
        let stack =
            |server: &str| Stack { name: server.to_owned(), parts: vec![1.0, 2.0], spread: (2.5, 3.5) };
        let bars = Bars {
            title: "CPU",
            unit: "ns",
            parts: vec!["user", "system"],
            stacks: vec![stack("leat"), stack("<b>")],
        };
        let curve = Curve {
            title: "Latency",
            x: ("time, s", Scale::Linear),
            y: ("µs", Scale::Log),
            lines: vec![("leat".to_owned(), vec![(0.0, 10.0), (1.0, 100.0)]), ("none".to_owned(), vec![])],
        };
        let page = Page {
            head: &head,
            versions: vec![("leat".to_owned(), "0.1".to_owned())],
            notes: vec!["<script>".to_owned()],
            plots: vec![Plot::Bars(bars), Plot::Curve(curve)],
        };
        let html = page.html().expect("drawn");
        assert!(html.contains("<td>2.00<small>1.00 to 3.00</small></td><td>–</td>"), "{html}");
        assert!(html.contains("cpu per packet<small>ns; less is better</small>"), "{html}");
        assert!(html.contains("1 &lt; 2 &amp; 3") && html.contains("&lt;script&gt;"), "{html}");
        assert!(!html.contains("<b>") && !html.contains("<script>"), "{html}");
        assert_eq!(html.matches("<svg").count(), 2);
        assert!(html.contains("currentColor") && !html.contains("#010203"), "{html}");
    }
}
