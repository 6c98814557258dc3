// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/graph.h"
#include "tutti/graph.h"

namespace tutti {

/// What a GraphBuilder builds; its one function is "run".
struct Expression::Network {
  Graph graph;
  std::string scope;

  Function& run() { return graph.functions[0]; }
};

/// An axis counted from the front; from the back when negative. Throws invalid_argument naming op.
int64_t axis_from_front(const Expression& x, int64_t axis, std::string_view op);

/// Extents of the public door for a shape of the graph, and back; the latter throws
/// invalid_argument for text that is no extent.
Extents to_extents(const Shape& shape);
Shape to_shape(const Extents& extents);

}  // namespace tutti
