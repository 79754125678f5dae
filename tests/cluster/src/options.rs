//! What a caller asks for.

use crate::folder::Provider;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealNode {
    /// One real kubelet if the caller is root, none otherwise.
    WhenRoot,
    Always,
    Never,
}

#[derive(Clone, Debug)]
pub struct Options {
    pub name: String,
    pub provider: Provider,
    pub real_node: RealNode,
    /// Each takes 1,000 Pods.
    pub fake_nodes: u32,
    /// A real registry that every image name leads to, instead of pulls that fail at once.
    pub registry: bool,
}

impl Options {
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            provider: Provider::Native,
            real_node: RealNode::WhenRoot,
            fake_nodes: 0,
            registry: false,
        }
    }
}
