// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/mesh_options.h"
#include "tutti/tutti.h"

namespace tutti::cli {

/// The options of `tutti run` as one rank reads them: {rank} in a path is its number, {dp} its
/// place along that axis of the mesh.
class RankArguments {
 public:
  /// Computing threads: 0 for all cores. The mesh: that of the model or engine, or empty.
  RankArguments(const Arguments& arguments, int rank, int threads, const std::string& mesh)
      : arguments_(arguments), rank_(rank), threads_(threads), places_(places_on(mesh, rank)) {}

  const Arguments& all() const { return arguments_; }
  int rank() const { return rank_; }
  int threads() const { return threads_; }

  /// The model or engine file.
  std::string model() const;
  /// The value of an option that is a path; throws UsageError for a name in braces that is none.
  std::string path(const std::string& option) const;
  /// Whether this rank writes the file of the option: the first of those that name it alike.
  bool writes(const std::string& option) const;
  /// Of --tolerance; throws UsageError.
  double tolerance(double otherwise) const;

  /// The values of --input.
  std::vector<std::string> input_files() const;
  /// How the model is built: with the mesh, for this rank.
  BuildOptions build_options() const;
  /// The inputs, given and random; the engine is planned for them.
  TensorMap inputs(Engine& engine) const;

 private:
  const Arguments& arguments_;
  const int rank_, threads_;
  const std::vector<AxisPlace> places_;  // along the axes of the mesh

  std::string fill(const std::string& path) const;
};

}  // namespace tutti::cli
