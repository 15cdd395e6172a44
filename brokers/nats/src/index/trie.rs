//! Filters with wildcards: a trie with one level per token.

use super::slab::Slab;
use super::table::{IdTable, NONE};
use super::text::{Text, fold, hash};
use crate::subject;

/// One token of one or more filters, below the tokens before it.
#[derive(Debug)]
struct Node {
    parent: u32,
    /// The node below for `*`.
    star: u32,
    /// The filter that ends here.
    here: u32,
    /// The filter that ends with `>` below here.
    tail: u32,
    /// Nodes below for literal tokens. They are found in the table of all edges,
    /// which costs a node with one child no map of its own.
    children: u32,
    token: Text<22>,
}

impl Default for Node {
    fn default() -> Self {
        Node {
            parent: NONE,
            star: NONE,
            here: NONE,
            tail: NONE,
            children: 0,
            token: Text::default(),
        }
    }
}

/// A token of the subject that is being matched.
#[derive(Copy, Clone, Debug)]
struct Token {
    start: u32,
    end: u32,
}

/// The trie. Its root is always there while a filter is in it.
#[derive(Debug, Default)]
pub struct Trie {
    nodes: Slab<Node>,
    edges: IdTable,
    root: Option<u32>,
    /// The tokens of the subject; kept for its memory.
    tokens: Vec<Token>,
}

fn edge_tag(parent: u32, token_hash: u64) -> u32 {
    fold(token_hash, u64::from(parent) + 1)
}

impl Trie {
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    #[inline]
    fn child(&self, parent: u32, token: &[u8], token_hash: u64) -> Option<u32> {
        self.edges.find(edge_tag(parent, token_hash), |id| {
            let node = &self.nodes[id];
            node.parent == parent && node.token.as_bytes() == token
        })
    }

    /// Adds a valid filter under the number `filter`.
    pub fn insert(&mut self, text: &[u8], filter: u32) {
        let mut at = match self.root {
            Some(root) => root,
            None => *self.root.insert(self.nodes.insert(Node::default())),
        };
        for token in subject::tokens(text) {
            if token == subject::TAIL {
                self.nodes[at].tail = filter;
                return;
            }
            at = if token == subject::STAR {
                match self.nodes[at].star {
                    NONE => {
                        let id = self.nodes.insert(Node { parent: at, ..Node::default() });
                        self.nodes[at].star = id;
                        id
                    }
                    id => id,
                }
            } else {
                let token_hash = hash(token);
                match self.child(at, token, token_hash) {
                    Some(id) => id,
                    None => {
                        let token = Text::new(token);
                        let id = self.nodes.insert(Node { parent: at, token, ..Node::default() });
                        self.edges.insert(edge_tag(at, token_hash), id);
                        self.nodes[at].children += 1;
                        id
                    }
                }
            };
        }
        self.nodes[at].here = filter;
    }

    /// Takes a filter out, and every node that served it alone.
    pub fn remove(&mut self, text: &[u8]) {
        let Some(mut at) = self.root else { return };
        let mut tail = false;
        for token in subject::tokens(text) {
            let next = if token == subject::TAIL {
                tail = true;
                break;
            } else if token == subject::STAR {
                Some(self.nodes[at].star).filter(|id| *id != NONE)
            } else {
                self.child(at, token, hash(token))
            };
            let Some(next) = next else { return };
            at = next;
        }
        if tail {
            self.nodes[at].tail = NONE;
        } else {
            self.nodes[at].here = NONE;
        }
        loop {
            let node = &self.nodes[at];
            let used =
                node.star != NONE || node.here != NONE || node.tail != NONE || node.children > 0;
            if used {
                return;
            }
            let parent = node.parent;
            if parent == NONE {
                self.nodes.remove(at);
                self.root = None;
                return;
            }
            if self.nodes[parent].star == at {
                self.nodes[parent].star = NONE;
            } else {
                let token_hash = hash(node.token.as_bytes());
                self.edges.remove(edge_tag(parent, token_hash), at);
                self.nodes[parent].children -= 1;
            }
            self.nodes.remove(at);
            at = parent;
        }
    }

    /// Puts the numbers of the filters that take in `text` into `found`.
    pub fn matches(&mut self, text: &[u8], found: &mut Vec<u32>) {
        let Some(root) = self.root else { return };
        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.clear();
        let mut start = 0;
        for token in subject::tokens(text) {
            if token.is_empty() {
                // No filter takes in a subject with an empty token.
                self.tokens = tokens;
                return;
            }
            let end = start + token.len();
            tokens.push(Token { start: start as u32, end: end as u32 });
            start = end + 1;
        }
        self.walk(root, text, &tokens, found);
        self.tokens = tokens;
    }

    /// Recursion goes one level per token of the deepest filter, and visits a node
    /// at most once.
    fn walk(&self, mut at: u32, text: &[u8], mut rest: &[Token], found: &mut Vec<u32>) {
        loop {
            let node = &self.nodes[at];
            let Some((token, behind)) = rest.split_first() else {
                if node.here != NONE {
                    found.push(node.here);
                }
                return;
            };
            if node.tail != NONE {
                found.push(node.tail);
            }
            let child = if node.children == 0 {
                None
            } else {
                // Hashed here, because most levels of most filters are wildcards.
                let token = &text[token.start as usize..token.end as usize];
                self.child(at, token, hash(token))
            };
            at = match (child, node.star) {
                (None, NONE) => return,
                (None, star) => star,
                (Some(child), NONE) => child,
                (Some(child), star) => {
                    self.walk(child, text, behind, found);
                    star
                }
            };
            rest = behind;
        }
    }

    /// Heap bytes.
    pub fn memory_bytes(&self) -> u64 {
        let tokens: usize = self.nodes.iter().map(|node| node.token.heap_bytes()).sum();
        self.nodes.memory_bytes() + self.edges.memory_bytes() + tokens as u64
    }

    #[cfg(test)]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }
}
