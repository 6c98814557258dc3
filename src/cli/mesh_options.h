// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "cli/arguments.h"
#include "tutti/tutti.h"

namespace tutti::cli {

/// `options`, and after them --mesh, --cp and --per-rank-input.
std::vector<Option> with_mesh_options(std::vector<Option> options);

/// Sets mesh, context and per_rank_inputs of a build, and gives their number of ranks; 0 without
/// --mesh.
///
/// Throws UsageError for a --cp that nothing is split by, for --per-rank-input without an axis dp,
/// and what mesh_size throws.
int read_mesh(const Arguments& arguments, BuildOptions& options);

/// Throws UsageError for an option of these beside an engine file.
void refuse_mesh_options(const Arguments& arguments);

/// The name of an axis, and where a rank is along it.
struct AxisPlace {
  std::string axis;
  int place = 0;
};

/// Of a mesh that is one, or none for an empty text. Ranks along an axis called "request" have
/// inputs of their own; it was dp, and is called so here.
std::vector<AxisPlace> places_on(const std::string& mesh, int rank);

/// Whether ranks of this mesh, as an engine has it, have inputs of their own.
bool has_requests(const std::string& mesh);

}  // namespace tutti::cli
