// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "cli/arguments.h"
#include "tutti/tutti.h"

namespace tutti::cli {

/// `options`, and after them --mesh and --cp.
std::vector<Option> with_mesh_options(std::vector<Option> options);

/// Sets mesh and context of a build, and gives their number of ranks; 0 without --mesh.
///
/// Throws UsageError for a --cp that nothing is split by, and what mesh_size throws.
int read_mesh(const Arguments& arguments, BuildOptions& options);

}  // namespace tutti::cli
