// SPDX-License-Identifier: Apache-2.0
#include "cli/parallel.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cli/ranks.h"
#include "cli/terminal.h"
#include "tutti/tutti.h"

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

std::string judged_table(const std::vector<MeshChoice>& choices) {
  std::vector<std::vector<std::string>> rows = {
      {"mesh", "--cp", "ms", "share of products", "sent by a rank", "memory of a rank", ""}};
  for (const MeshChoice& c : choices) {
    const bool sequence = c.mesh.find("cp=") != std::string::npos;
    rows.push_back({c.mesh.empty() ? "one rank" : c.mesh, sequence ? c.context : "-",
                    number_text(1e3 * c.seconds), number_text(c.share), bytes_text(c.sent_bytes),
                    bytes_text(c.memory_bytes),
                    !c.fits                  ? "does not fit"
                    : &c == &choices.front() ? "chosen"
                                             : ""});
  }
  return table(rows);
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

std::vector<std::string> with_judged_mesh(const Arguments& arguments) {
  if (arguments.value("--parallel") != "auto")
    throw UsageError("option --parallel is " + arguments.value("--parallel") + "; auto is wanted");
  if (arguments.has("--mesh") || arguments.has("--cp"))
    throw UsageError("option --parallel auto finds a mesh: --mesh and --cp are not wanted with it");
  if (!arguments.has("-n")) throw UsageError("option --parallel auto wants -n N ranks");
  const std::string& path = arguments.words().at(0);
  if (path.find("{rank}") != std::string::npos || !is_model(path))
    throw UsageError(path + ": option --parallel is for a model of one device");
  const size_t limit =
      arguments.has("--memory-limit") ? parse_bytes(arguments.value("--memory-limit")) : 0;
  BuildOptions options;
  options.shapes = parse_shapes(arguments.values("--shape"));
  const std::vector<MeshChoice> choices =
      judge_meshes(path, arguments.number("-n", 1, 1), options, device_profile(), limit);
  std::printf("%s\n", judged_table(choices).c_str());
  std::fflush(stdout);
  const MeshChoice& best = choices.at(0);
  if (!best.fits)
    throw UsageError("no way for " + arguments.value("-n") + " ranks fits: the least memory is " +
                     bytes_text(best.memory_bytes) + " of a rank (" +
                     (best.mesh.empty() ? "one rank" : best.mesh) + "); --memory-limit is " +
                     arguments.value("--memory-limit"));
  std::vector<std::string> line = arguments.without({"--parallel", "--memory-limit"});
  if (!best.mesh.empty()) line.insert(line.begin(), {"--mesh", best.mesh});
  if (best.mesh.find("cp=") != std::string::npos) line.insert(line.begin(), {"--cp", best.context});
  return line;
}

}  // namespace tutti::cli
