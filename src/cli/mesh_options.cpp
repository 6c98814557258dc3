// SPDX-License-Identifier: Apache-2.0
#include "cli/mesh_options.h"

#include <algorithm>
#include <charconv>

namespace tutti::cli {
namespace {

constexpr std::string_view kRequest = "request";

bool has_axis(const std::string& mesh, const std::string& axis) {
  return ("," + mesh).find("," + axis + "=") != std::string::npos;
}

std::string mesh_words(const std::string& mesh) {
  return mesh.empty() ? "there is no mesh" : "the mesh is " + mesh;
}

}  // namespace

std::vector<Option> with_mesh_options(std::vector<Option> options) {
  options.push_back({"--mesh", "AXES",
                     "ranks that share the work: tp=2,cp=4; tp splits heads and hidden\n"
                     "dimensions, cp the sequence, dp the batch"});
  options.push_back({"--cp", "WAY",
                     "how attention meets keys of other ranks: ulysses, ring, gather_kv, or\n"
                     "two with their sizes, ulysses:2,ring:2; ulysses when not given"});
  options.push_back({"--per-rank-input", "",
                     "ranks along dp have requests of their own, not parts of one batch"});
  return options;
}

int read_mesh(const Arguments& arguments, BuildOptions& options) {
  options.mesh = arguments.value("--mesh");
  options.context = arguments.value("--cp", options.context);
  options.per_rank_inputs = arguments.has("--per-rank-input");
  if (arguments.has("--cp") && !has_axis(options.mesh, "cp"))
    throw UsageError("option --cp is " + options.context + ", and " + mesh_words(options.mesh) +
                     "; an axis cp is wanted, as in --mesh cp=2");
  if (options.per_rank_inputs && !has_axis(options.mesh, "dp"))
    throw UsageError("option --per-rank-input is given, and " + mesh_words(options.mesh) +
                     "; an axis dp is wanted, as in --mesh dp=2,tp=2");
  if (!arguments.has("--mesh")) return 0;
  if (options.mesh.empty()) throw UsageError("option --mesh is empty; tp=2,cp=4 is wanted");
  return mesh_size(options.mesh, options.context);
}

void refuse_mesh_options(const Arguments& arguments) {
  for (const Option& option : with_mesh_options({}))
    if (arguments.has(option.name))
      throw UsageError(arguments.words()[0] + ": option " + option.name +
                       " is for models; an engine file has a mesh of its own");
}

std::vector<AxisPlace> places_on(const std::string& mesh, int rank) {
  std::vector<AxisPlace> places;
  // The last axis counts fastest.
  for (size_t end = mesh.size(); end > 0 && end != std::string::npos;) {
    const size_t begin = mesh.find_last_of(',', end - 1) + 1, equals = mesh.find('=', begin);
    int size = 1;
    std::from_chars(mesh.data() + equals + 1, mesh.data() + end, size);
    const std::string axis = mesh.substr(begin, equals - begin);
    places.push_back({axis == kRequest ? "dp" : axis, rank % size});
    rank /= size;
    end = begin == 0 ? 0 : begin - 1;
  }
  std::reverse(places.begin(), places.end());
  return places;
}

bool has_requests(const std::string& mesh) { return has_axis(mesh, std::string(kRequest)); }

}  // namespace tutti::cli
