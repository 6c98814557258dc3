// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>

#include "import/weight_source.h"
#include "ir/graph.h"

namespace tutti {

/// What binding did.
struct BoundWeights {
  size_t bound = 0;      ///< residents that got their bytes
  size_t converted = 0;  ///< of these, those whose element type was changed
  size_t unused = 0;     ///< tensors of the source that no resident is called after
};

/// Gives the bound residents that have no bytes the tensors of their names.
///
/// A tensor must have the type of its resident. With `convert_to`, residents of that type take
/// tensors of other float types too, and become of that type: functions that read one convert it.
/// Residents of other types are not changed. Throws not_found naming all that are missing,
/// invalid_argument naming those of another shape or type; then no resident has changed.
BoundWeights bind_weights(Graph& graph, const WeightSource& weights,
                          std::optional<DType> convert_to = std::nullopt);

}  // namespace tutti
