// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ir/graph.h"

namespace tutti {

/// Checks what every graph promises, residents and all functions.
///
/// Ids are in range; each value is an input, a resident or the result of one earlier node; types
/// are what the operators infer; names are unique; symbols are declared; updates and outputs fit.
/// Throws invalid_argument naming function, node (index, operator, scope), operand, found, wanted.
void verify(const Graph& graph);

/// Checks one function against the graph's symbols and residents, as verify(graph) does; the
/// function need not be part of the graph. It has residents in `parts` with these types instead.
void verify(const Graph& graph, const Function& function,
            const std::map<ResidentId, TensorType>& parts = {});

/// True for a name that extents may use: a letter or _, then letters, digits and _; not min or max.
bool is_symbol_name(std::string_view name);

}  // namespace tutti
