// SPDX-License-Identifier: Apache-2.0
#include "cli/parallel.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/inputs.h"
#include "cli/mesh_options.h"
#include "cli/rank_arguments.h"
#include "cli/ranks.h"
#include "cli/terminal.h"

namespace tutti::cli {
namespace {

namespace fs = std::filesystem;

// Where the profile of this machine is kept; empty without a home.
fs::path profile_path() {
  const std::string cache = variable("XDG_CACHE_HOME"), home = variable("HOME");
  if (!cache.empty()) return fs::path(cache) / "tutti" / "device.txt";
  if (!home.empty()) return fs::path(home) / ".cache" / "tutti" / "device.txt";
  return {};
}

DeviceProfile device_profile() {
  const fs::path path = profile_path();
  DeviceProfile p;
  std::string version;
  std::ifstream kept(path);
  if (kept >> version >> p.flops_per_s >> p.bytes_per_s >> p.link_bytes_per_s >> p.link_latency_s &&
      version == tutti::version())
    return p;
  p = measure_device();
  std::error_code ignored;  // the next command measures again
  fs::create_directories(path.parent_path(), ignored);
  std::ofstream(path) << tutti::version() << ' ' << p.flops_per_s << ' ' << p.bytes_per_s << ' '
                      << p.link_bytes_per_s << ' ' << p.link_latency_s << '\n';
  return p;
}

// "512", "300MiB", "4GiB"
size_t parse_bytes(const std::string& text) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  const double factor = unit.empty()    ? 1
                        : unit == "KiB" ? 1 << 10
                        : unit == "MiB" ? 1 << 20
                        : unit == "GiB" ? 1 << 30
                                        : 0;
  if (!(number > 0) || factor == 0)
    throw UsageError("option --memory-limit is " + text + "; a size is wanted, as in 4GiB");
  return static_cast<size_t>(number * factor);
}

// Of the inputs of the model that the line names, as far as it gives them.
InputShapes given_shapes(const Arguments& arguments, const std::string& model) {
  const std::vector<InputShapes> options = parse_shapes(arguments.values("--shape"));
  const InputShapes shapes = options.empty() ? InputShapes{} : options[0];
  if (!arguments.has("--input")) return shapes;
  std::vector<std::string> names;
  for (const auto& [name, shape] : example_shapes(model, shapes)) names.push_back(name);
  const RankArguments first(arguments, 0, 0, "");
  return shapes_of(read_inputs(first.input_files(), names), shapes);
}

std::string judged_table(const std::vector<MeshChoice>& choices) {
  std::vector<std::vector<std::string>> rows = {{"strategy", "mesh", "--cp", "ms",
                                                 "share of products", "sent by a rank",
                                                 "memory of a rank", ""}};
  for (const MeshChoice& c : choices)
    rows.push_back({c.name, c.mesh.empty() ? "-" : c.mesh, c.context.empty() ? "-" : c.context,
                    number_text(1e3 * c.seconds), number_text(c.share), bytes_text(c.sent_bytes),
                    bytes_text(c.memory_bytes),
                    !c.fits                  ? "does not fit"
                    : &c == &choices.front() ? "chosen"
                                             : ""});
  return table(rows);
}

// Throws for what contradicts --parallel auto.
void check_judged(const Arguments& arguments) {
  if (arguments.value("--parallel") != "auto")
    throw UsageError("option --parallel is " + arguments.value("--parallel") + "; auto is wanted");
  for (const Option& option : with_mesh_options({}))
    if (arguments.has(option.name))
      throw UsageError("option --parallel auto finds a mesh: " + option.name +
                       " is not wanted with it");
  if (!arguments.has("-n")) throw UsageError("option --parallel auto wants -n N ranks");
  const std::string& path = arguments.words().at(0);
  if (path.find("{rank}") != std::string::npos || !is_model(path))
    throw UsageError(path + ": option --parallel is for a model of one device");
}

}  // namespace

std::vector<Option> with_parallel_options(std::vector<Option> options) {
  options.push_back({"--parallel", "auto",
                     "with -n: judges every way for so many ranks to share the work, and takes\n"
                     "the fastest that fits"});
  options.push_back({"--memory-limit", "SIZE",
                     "with --parallel: what each rank may use for weights and values, as 4GiB"});
  return options;
}

InputShapes shapes_to_judge(const Arguments& arguments) {
  const std::string& model = arguments.words().at(0);
  return example_shapes(model, given_shapes(arguments, model));
}

std::vector<MeshChoice> judged_ways(const Arguments& arguments, const InputShapes& shapes,
                                    int ranks, size_t memory_limit) {
  const std::string& model = arguments.words().at(0);
  BuildOptions options;
  options.shapes = {shapes};
  options.held = arguments.values("--hold");
  options.fuse = !arguments.has("--no-fuse");
  options.matmul = arguments.value("--matmul");
  return judge_meshes(model, ranks, options, device_profile(), memory_limit);
}

Arguments with_judged_mesh(const Arguments& arguments, const Command& command) {
  if (!arguments.has("--parallel")) {
    if (arguments.has("--memory-limit"))
      throw UsageError("option --memory-limit is for --parallel auto");
    if (arguments.has("-n") && command.name != "run")
      throw UsageError("option -n is for --parallel auto; --mesh says how many ranks there are");
    return arguments;
  }
  check_judged(arguments);
  const size_t limit =
      arguments.has("--memory-limit") ? parse_bytes(arguments.value("--memory-limit")) : 0;
  const InputShapes shapes = shapes_to_judge(arguments);
  const std::vector<MeshChoice> choices =
      judged_ways(arguments, shapes, arguments.number("-n", 1, 1), limit);
  std::string text;
  for (const auto& [name, shape] : shapes)
    text += (text.empty() ? "" : ", ") + name + " " + to_string(shape);
  std::printf("judged for %s:\n%s\n", text.c_str(), judged_table(choices).c_str());
  std::fflush(stdout);
  const MeshChoice& best = choices.at(0);
  if (!best.fits)
    throw UsageError("no way for " + arguments.value("-n") + " ranks fits: the least memory is " +
                     bytes_text(best.memory_bytes) + " of a rank (" +
                     (best.mesh.empty() ? best.name : best.mesh) + "); --memory-limit is " +
                     arguments.value("--memory-limit"));
  // Elsewhere ranks are counted for --parallel alone.
  std::vector<std::string> line =
      arguments.without({"--parallel", "--memory-limit", command.name == "run" ? "" : "-n"});
  if (!best.mesh.empty()) line.insert(line.begin(), {"--mesh", best.mesh});
  if (!best.context.empty()) line.insert(line.begin(), {"--cp", best.context});
  return Arguments(line, command.options);
}

}  // namespace tutti::cli
