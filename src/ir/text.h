// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "ir/graph.h"

namespace tutti {

// A graph as text:
//
//     tutti.graph 1
//     symbol s0 in 2..128
//     constraint divisible(s0, 8) "view of blocks.0"
//     bound @model.w : f32[64, 64]
//     carried @"past keys" : bf16[2, s0, 64]
//     function run(%x : f32[2, s0, 64]) {
//       %matmul_0 : f32[2, s0, 64] = matmul(%x, @model.w) scope="blocks.0.attn"
//       %softmax_1 : f32[2, s0, 64] = softmax(%matmul_0, axis=2, log=false)
//       update @"past keys" = %softmax_1
//       output logits = %matmul_0
//       output mask = none
//     }
//
// Names of letters, digits, _ and . stand bare, others in quotes. # starts a comment.

/// Makes an operator from its name and attributes; throws for what it does not know.
using MakeOp = std::function<Op(std::string_view name, const Attributes& attributes)>;

/// The text of a graph that verify accepts; weight bytes are left out, values nobody uses too.
///
/// Constants longer than `max_attribute` characters are cut short, for reading only: a text with
/// such a cut does not parse.
std::string print_graph(const Graph& graph, size_t max_attribute = SIZE_MAX);

/// The graph of a text; print_graph of it gives the same text again.
///
/// Throws invalid_argument with line, column, found and wanted. Time and memory are in proportion
/// to the text, whatever it says.
Graph parse_graph(std::string_view text, const MakeOp& make_op);

/// A function as a Graphviz digraph: nodes named by operator and scope, edges by type.
std::string to_dot(const Graph& graph, const Function& function);

}  // namespace tutti
