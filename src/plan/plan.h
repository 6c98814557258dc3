// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "shard/placement.h"

namespace tutti {

/// Where the bytes of an operand live.
enum class Place : uint8_t {
  arena,     ///< memory of a session, reused between steps
  held,      ///< memory of a session that keeps what `prepare` computed
  input,     ///< an input tensor of the caller
  output,    ///< an output tensor of the caller
  resident,  ///< a weight, or state
  constant,  ///< bytes of the plan
};

/// A strided view of memory in a place.
struct Operand {
  Place place = Place::arena;
  int32_t index = 0;   ///< which input, output, resident or constant; 0 for arena and held
  int64_t offset = 0;  ///< bytes from the start of that memory to the first element
  DType dtype = DType::f32;
  Dims shape;
  Dims strides;  ///< in elements
};

/// One thing to do: an operator on operands, by a chosen implementation.
struct Step {
  Op op;
  std::string implementation;
  std::vector<Operand> in, out;
  std::string scope;  ///< where it stands in the source network
};

/// A named tensor that the caller gives or receives.
struct Port {
  std::string name;
  DType dtype = DType::f32;
  Dims shape;
  bool held = false;    ///< an input whose change runs `prepare`
  bool present = true;  ///< false for an output that is None
};

/// The program for one set of shapes: what a session walks.
///
/// Steps name memory by place and offset; all offsets are checked against the sizes here when a
/// plan is read from a file.
struct Plan {
  SymbolValues symbols;
  int32_t rank = 0;  ///< of a program that ranks share: whose part of the work this is
  std::vector<Port> inputs, outputs;
  std::vector<Step> prepare;  ///< once after a held input changed
  std::vector<Step> run;
  std::vector<Tensor> constants;
  int64_t arena_bytes = 0;
  int64_t held_bytes = 0;
};

/// A compiled network: the graph it came from, its residents, and plans for the shapes planned.
///
/// graph.residents[i] of kind derived is what graph.function("init") leaves in resident i.
struct Program {
  Graph graph;
  std::vector<std::string> held;  ///< names of held inputs
  /// Ranks that share the work, "tp=2,cp=2", and how attention meets keys of others; empty for one.
  std::string mesh, context;
  /// Where state is on these ranks, in all plans: the first that was made has decided.
  shard::States states;
  std::vector<Plan> plans;
};

/// The type of what a rank holds of a resident, whose extents are numbers.
TensorType local_type(const Program& program, ResidentId resident, int rank);

}  // namespace tutti
