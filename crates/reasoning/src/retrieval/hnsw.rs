//! Approximate search by inner product in a hierarchical navigable small world graph (Malkov and Yashunin 2018).
//!
//! Every row is a node of the base layer and of each layer above with probability falling as M^-l. A search walks down
//! from the top layer to its nearest node and explores the base layer best-first with `breadth` results kept (algorithm
//! 2); a new node is linked to M of the nodes so found that are nearer to it than to each other (algorithm 4), at
//! most M links a node above and 2 M in the base layer.
//!
//! Departure: nodes are inserted in batches. All nodes of a batch search the graph as it was before the batch, in
//! parallel and without locks; then their links are entered. So the graph depends only on rows and seed, not on the
//! number of threads. Of many equal rows, more than links, some may not be reached. Why not a crate: measured against hnswlib on 100,000 rows of 256, `hnsw_rs` 0.3.5 took 4.5 times
//! as long to build and holds no more than 255 links a node, where the study asks for 256.

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::dense::{Product, Vectors};
use crate::random::Stream;

/// How the graph is built.
#[derive(Clone, Debug)]
pub struct GraphOptions {
    /// M: links of a node in each layer above the base; twice as many in the base. From 2. Default: 16.
    pub links: usize,
    /// efConstruction: how many near nodes an insertion looks for. Default: 200.
    pub breadth: usize,
    /// For the layers of the nodes. Default: 0.
    pub seed: u64,
}

impl Default for GraphOptions {
    fn default() -> Self {
        GraphOptions { links: 16, breadth: 200, seed: 0 }
    }
}

/// The graph over the rows, which it keeps.
pub struct Graph {
    rows: Vectors,
    layers: Vec<Layer>,
    entry: u32,
    product: Product,
}

/// The links of one layer, `width` places a node.
struct Layer {
    /// The place of every node that has one; in the base layer the node itself.
    place: Option<Vec<u32>>,
    width: usize,
    count: Vec<u32>,
    nodes: Vec<u32>,
    distance: Vec<f32>,
}

/// A node and its distance to something, the nearest first.
#[derive(Clone, Copy, PartialEq)]
struct Near {
    distance: f32,
    node: u32,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance).then(self.node.cmp(&other.node))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a search needs, kept from search to search.
#[derive(Default)]
struct Scratch {
    /// The number of the search that saw a node last.
    seen: Vec<u8>,
    search: u8,
    open: BinaryHeap<Reverse<Near>>,
    found: BinaryHeap<Near>,
    fresh: Vec<u32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Layer {
    fn new(members: &[u32], rows: usize, width: usize) -> Layer {
        let place = (members.len() < rows).then(|| {
            let mut place = vec![u32::MAX; rows];
            members.iter().enumerate().for_each(|(index, &node)| place[node as usize] = index as u32);
            place
        });
        let size = members.len();
        Layer {
            place,
            width,
            count: vec![0; size],
            nodes: vec![0; size * width],
            distance: vec![0.0; size * width],
        }
    }

    fn place(&self, node: u32) -> usize {
        self.place.as_ref().map_or(node, |place| place[node as usize]) as usize
    }

    fn neighbours(&self, node: u32) -> &[u32] {
        let place = self.place(node);
        &self.nodes[place * self.width..][..self.count[place] as usize]
    }

    fn links(&self, node: u32) -> impl Iterator<Item = Near> {
        let place = self.place(node);
        let distances = &self.distance[place * self.width..][..self.count[place] as usize];
        self.neighbours(node).iter().zip(distances).map(|(&node, &distance)| Near { distance, node })
    }

    fn set(&mut self, node: u32, links: &[Near]) {
        let place = self.place(node);
        self.count[place] = links.len() as u32;
        for (index, link) in links.iter().enumerate() {
            self.nodes[place * self.width + index] = link.node;
            self.distance[place * self.width + index] = link.distance;
        }
    }
}

impl Graph {
    /// Builds the graph over the rows, with rayon's threads.
    ///
    /// Panics if there are more than 2^32 - 2 rows, or fewer than two links are allowed.
    pub fn build(rows: Vectors, options: &GraphOptions) -> Graph {
        assert!(options.links >= 2, "a graph needs at least two links a node");
        let size =
            u32::try_from(rows.len()).ok().filter(|&size| size < u32::MAX).expect("at most 2^32 - 2 rows");
        let heights = heights(size, options);
        let top = heights.iter().copied().max().unwrap_or(0);
        let layers = (0..=top).map(|layer| {
            let members: Vec<u32> = (0..size).filter(|&node| heights[node as usize] >= layer).collect();
            let width = if layer == 0 { 2 * options.links } else { options.links };
            Layer::new(&members, rows.len(), width)
        });
        let mut graph = Graph { layers: layers.collect(), rows, entry: 0, product: Product::new() };
        let mut next = 1;
        while next < size {
            // A node above all others comes alone: it becomes the entry.
            let reach = heights[graph.entry as usize];
            let largest = next + (next / 16).clamp(1, 1024);
            let end = (next..largest.min(size))
                .find(|&node| heights[node as usize] > reach)
                .unwrap_or(largest.min(size));
            let batch = next..end.max(next + 1);
            next = batch.end;
            let last = batch.end - 1;
            graph.insert(batch, &heights, options);
            if heights[last as usize] > reach {
                graph.entry = last;
            }
        }
        graph.layers.iter_mut().for_each(|layer| layer.distance = Vec::new());
        graph
    }

    /// The rows.
    pub fn rows(&self) -> &Vectors {
        &self.rows
    }

    /// About the `count` rows with the largest inner product with the query, and that product, the largest first.
    /// `breadth` (efSearch), at least `count`, buys recall with time.
    ///
    /// Panics if the dimensions differ.
    pub fn search(&self, query: &[f32], count: usize, breadth: usize) -> Vec<(usize, f32)> {
        assert_eq!(query.len(), self.rows.dimension(), "rows and query must have one dimension");
        if self.rows.is_empty() || count == 0 {
            return Vec::new();
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut start = self.near(query, self.entry);
            for layer in self.layers[1..].iter().rev() {
                start = self.descend(query, start, layer);
            }
            let found = self.explore(query, &[start], breadth.max(count), &self.layers[0], scratch);
            found.into_iter().take(count).map(|near| (near.node as usize, -near.distance)).collect()
        })
    }

    /// [`Graph::search`] for every row of `queries`, in parallel.
    pub fn search_all(&self, queries: &Vectors, count: usize, breadth: usize) -> Vec<Vec<(usize, f32)>> {
        (0..queries.len())
            .into_par_iter()
            .map(|query| self.search(queries.row(query), count, breadth))
            .collect()
    }

    fn near(&self, query: &[f32], node: u32) -> Near {
        Near { distance: -self.product.of(self.rows.row(node as usize), query), node }
    }

    fn insert(&mut self, batch: std::ops::Range<u32>, heights: &[usize], options: &GraphOptions) {
        let reach = heights[self.entry as usize];
        // For every new node its links, from its highest layer in the graph down to the base.
        let links: Vec<Vec<Vec<Near>>> = batch
            .clone()
            .into_par_iter()
            .map(|node| SCRATCH.with_borrow_mut(|scratch| self.find_links(node, heights, options, scratch)))
            .collect();
        let mut back: Vec<(usize, u32, Near)> = Vec::new();
        for (node, links) in batch.zip(links) {
            for (layer, links) in (0..=heights[node as usize].min(reach)).rev().zip(links) {
                self.layers[layer].set(node, &links);
                back.extend(
                    links.iter().map(|link| (layer, link.node, Near { node, distance: link.distance })),
                );
            }
        }
        back.sort_unstable_by_key(|&(layer, target, link)| (layer, target, link.node));
        let groups: Vec<_> = back.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).collect();
        let updates: Vec<Vec<Near>> = groups
            .par_iter()
            .map(|group| {
                let layer = &self.layers[group[0].0];
                let mut links: Vec<Near> = layer.links(group[0].1).collect();
                links.extend(group.iter().map(|(_, _, link)| *link));
                if links.len() > layer.width {
                    links.sort_unstable();
                    links = self.spread(&links, layer.width);
                }
                links
            })
            .collect();
        for (group, links) in groups.iter().zip(updates) {
            self.layers[group[0].0].set(group[0].1, &links);
        }
    }

    fn find_links(
        &self,
        node: u32,
        heights: &[usize],
        options: &GraphOptions,
        scratch: &mut Scratch,
    ) -> Vec<Vec<Near>> {
        let (row, reach) = (self.rows.row(node as usize), heights[self.entry as usize]);
        let height = heights[node as usize].min(reach);
        let mut start = self.near(row, self.entry);
        for layer in self.layers[height + 1..=reach].iter().rev() {
            start = self.descend(row, start, layer);
        }
        let mut starts = vec![start];
        let mut links = Vec::with_capacity(height + 1);
        for layer in self.layers[..=height].iter().rev() {
            starts = self.explore(row, &starts, options.breadth.max(options.links), layer, scratch);
            links.push(self.spread(&starts, options.links));
        }
        links
    }

    /// The nearest node that is reached by always going to the nearest neighbour.
    fn descend(&self, query: &[f32], mut best: Near, layer: &Layer) -> Near {
        loop {
            let neighbours = layer.neighbours(best.node).iter();
            match neighbours.map(|&node| self.near(query, node)).min() {
                Some(nearer) if nearer.distance < best.distance => best = nearer,
                _ => return best,
            }
        }
    }

    /// The `breadth` nearest nodes that best-first search finds, the nearest first.
    fn explore(
        &self,
        query: &[f32],
        starts: &[Near],
        breadth: usize,
        layer: &Layer,
        scratch: &mut Scratch,
    ) -> Vec<Near> {
        let Scratch { seen, search, open, found, fresh } = scratch;
        if seen.len() != self.rows.len() || *search == u8::MAX {
            seen.clear();
            seen.resize(self.rows.len(), 0);
            *search = 0;
        }
        *search += 1;
        open.clear();
        found.clear();
        for &start in starts {
            seen[start.node as usize] = *search;
            open.push(Reverse(start));
            found.push(start);
        }
        let mut farthest = found.peek().map_or(f32::INFINITY, |near| near.distance);
        while let Some(Reverse(nearest)) = open.pop() {
            if nearest.distance > farthest && found.len() >= breadth {
                break;
            }
            fresh.clear();
            for &node in layer.neighbours(nearest.node) {
                if seen[node as usize] != *search {
                    seen[node as usize] = *search;
                    fresh.push(node);
                }
            }
            for (index, &node) in fresh.iter().enumerate() {
                if let Some(&next) = fresh.get(index + 1) {
                    fetch_early(self.rows.row(next as usize));
                }
                let near = self.near(query, node);
                if found.len() < breadth || near.distance < farthest {
                    open.push(Reverse(near));
                    found.push(near);
                    if found.len() > breadth {
                        found.pop();
                    }
                    farthest = found.peek().map_or(f32::INFINITY, |near| near.distance);
                }
            }
        }
        let mut nearest: Vec<Near> = found.drain().collect();
        nearest.sort_unstable();
        nearest
    }

    /// Of candidates, the nearest first, up to `most` that are nearer to the node than to those chosen before.
    fn spread(&self, candidates: &[Near], most: usize) -> Vec<Near> {
        let mut chosen: Vec<Near> = Vec::with_capacity(most);
        for &candidate in candidates {
            if chosen.len() == most {
                break;
            }
            let row = self.rows.row(candidate.node as usize);
            if chosen.iter().all(|other| self.near(row, other.node).distance >= candidate.distance) {
                chosen.push(candidate);
            }
        }
        chosen
    }
}

/// The highest layer of every node: floor(-ln(u) / ln(M)), u uniform in (0, 1].
fn heights(size: u32, options: &GraphOptions) -> Vec<usize> {
    let scale = 1.0 / (options.links as f64).ln();
    let mut random = Stream::seeded(options.seed);
    let mut height = |_| {
        let uniform = ((random.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        (-uniform.ln() * scale) as usize
    };
    (0..size).map(&mut height).collect()
}

/// Asks for a row that is needed soon.
#[inline]
fn fetch_early(row: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    for line in row.chunks(16) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that the program sees, and the address is that of a live row.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = row;
}
