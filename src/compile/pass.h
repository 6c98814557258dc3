// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "compile/compile.h"

namespace tutti {

/// What passes work on: the concrete function being compiled, and the program it belongs to.
struct Compilation {
  Program& program;
  Function function;
  const CompileOptions& options;
  std::map<ResidentId, TensorType> parts = {};  ///< of state, where this rank has a part
};

/// A rewrite of the function; `run` says whether it changed anything.
struct Pass {
  std::string_view name;
  bool (*run)(Compilation& c);
};

/// The passes before a network is shared out among ranks, and those of one rank's part, in order.
std::span<const Pass> network_passes();
std::span<const Pass> part_passes();

/// Runs them; removes dead nodes after each, and verifies.
void run_passes(Compilation& c, std::span<const Pass> passes);

// The passes, one file each.
bool lower_collectives(Compilation& c);  // they cut and join axis 0; those of one rank vanish
bool simplify(Compilation& c);        // casts to the same type, reshapes to the same shape, x * 1
bool fold_constants(Compilation& c);  // what depends on no input is computed
bool share_equal(Compilation& c);     // equal nodes on equal operands become one
bool recognize_attention(Compilation& c);    // products and softmax that are written out
bool classify_masks(Compilation& c);         // masks whose values are a band become that band
bool recognize_activations(Compilation& c);  // gelu and silu that are written out
bool sink_reshapes(Compilation& c);      // elementwise functions come before reshapes of products
bool share_heads(Compilation& c);        // attention reads repeated heads of k, v where they are
bool merge_matmuls(Compilation& c);      // products of one input become one
bool fuse_convs(Compilation& c);         // convolutions ready to take up what follows them
bool absorb_epilogues(Compilation& c);   // elementwise functions after a product go into it
bool pack_weights(Compilation& c);       // weights of products in the order they are read
bool pack_conv_weights(Compilation& c);  // and those of convolutions
bool split_init(Compilation& c);         // what depends on weights alone moves to `init`
bool decompose(Compilation& c);  // norms and softmax as elementwise functions and reductions
bool fuse(Compilation& c);       // elementwise operators, views and reductions into regions
bool schedule(Compilation& c);   // collectives start early, what needs them comes late

/// Collectives that are ready together become one. `rounds` are those of shard::LocalFunction, by
/// value; values behind the last are counted here. Returns whether anything changed.
bool merge_collectives(Function& f, std::vector<int> rounds);

/// By value: whether it is computed from weights and numbers of the program alone.
std::vector<bool> fixed_values(const Compilation& c);

/// Turns the function into steps on memory.
Plan place(Compilation& c);

}  // namespace tutti
