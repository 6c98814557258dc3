// SPDX-License-Identifier: Apache-2.0
#include <dlfcn.h>
#include <link.h>
#include <sched.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "comm/gloo/wire.h"
#include "core/text.h"
#include "device/cpu/dnnl_matmul.h"
#include "device/cpu/isa.h"
#include "device/cpu/pool.h"
#include "tutti/tutti.h"

namespace tutti {
namespace {

// "key : value" of a file of /proc, the first with that key.
std::string proc_value(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "unknown";
}

size_t proc_bytes(std::string_view key) {
  return static_cast<size_t>(std::strtoull(proc_value("/proc/meminfo", key).c_str(), nullptr, 10)) *
         1024;
}

// Where the shared library lies that this process has loaded, or could load; or nothing.
std::string library_path(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    void* handle = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    if (handle == nullptr) continue;
    link_map* map = nullptr;
    std::string path = name;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map->l_name[0] != '\0') path = map->l_name;
    dlclose(handle);
    return path;
  }
  return "";
}

bool is_loaded(const char* name) {
  void* handle = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
  if (handle != nullptr) dlclose(handle);
  return handle != nullptr;
}

SystemFact cpu_features() {
  static constexpr std::string_view kShown[] = {
      "sse4_2",      "avx",      "f16c",     "fma",      "avx2",
      "avx512f",     "avx512bw", "avx512dq", "avx512vl", "avx512_vnni",
      "avx512_bf16", "amx_tile", "asimd",    "sve",      "bf16"};
  std::set<std::string> flags;
  for (const char* key : {"flags", "Features"})
    for (std::string& flag : split_text(proc_value("/proc/cpuinfo", key), ' '))
      flags.insert(std::move(flag));
  std::vector<std::string> found;
  for (std::string_view flag : kShown)
    if (flags.contains(std::string(flag))) found.emplace_back(flag);
  SystemFact fact{"CPU features",
                  join(join_list(found, " "), "; code in use: ", cpu::current_isa()), ""};
  if (cpu::best_isa() == cpu::Isa::portable && cpu::kIsX86)
    fact.advice = "without AVX2 and FMA everything runs several times slower";
  return fact;
}

SystemFact library(std::string name, std::initializer_list<const char*> files, std::string role,
                   std::string advice) {
  const std::string path = library_path(files);
  if (path.empty()) return {std::move(name), "not found", std::move(advice)};
  return {std::move(name), path + role, ""};
}

SystemFact onednn() {
  const std::string version = cpu::dnnl_version_text();
  if (!version.empty()) {
    const std::string path = library_path({"libdnnl.so.3", "libdnnl.so.2", "libdnnl.so"});
    return {"oneDNN", join(version, ", ", path, ", for --matmul onednn"), ""};
  }
  return {"oneDNN", "not in this build: matrix products run on tutti's own kernels",
          "only --matmul onednn needs it, nothing is slower without: "
          "apt-get install libdnnl-dev and build again"};
}

SystemFact gloo() {
  if (comm::has_gloo())
    return {"Gloo", library_path({"libgloo.so.0", "libgloo.so"}) + ", for ranks of several hosts",
            ""};
  return {"Gloo", "not in this build: ranks of one host only",
          "ranks of several hosts need it: apt-get install libgloo-dev and build again"};
}

}  // namespace

std::string_view version() { return "0.1.0"; }

std::vector<SystemFact> system_facts() {
  // Asked first: looking for libraries may load it.
  const bool openmp = is_loaded("libgomp.so.1") || is_loaded("libomp.so.5");
  std::vector<SystemFact> facts;
  facts.push_back({"tutti", std::string(version()), ""});
  facts.push_back({"CPU", proc_value("/proc/cpuinfo", "model name"), ""});
  facts.push_back(cpu_features());
  const int usable = cpu::usable_cores();
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  facts.push_back({"cores", join(usable, " usable by this process, ", online, " online"),
                   usable < online ? "the process may not use all cores (affinity or quota)" : ""});
  const size_t total = proc_bytes("MemTotal"), available = proc_bytes("MemAvailable");
  facts.push_back({"memory", join(bytes_text(total), ", ", bytes_text(available), " available"),
                   available < (size_t{1} << 29) ? "under 512 MiB are free" : ""});
  facts.push_back(onednn());
  facts.push_back(gloo());
  facts.push_back(library("simdjson", {"libsimdjson.so.14", "libsimdjson.so"}, ", reads .pt2 files",
                          "no .pt2 file can be read: apt-get install libsimdjson-dev"));
  facts.push_back(library("libpng", {"libpng16.so.16", "libpng16.so"}, ", for the examples",
                          "the picture example is not built: apt-get install libpng-dev"));
  facts.push_back({"OpenMP",
                   openmp ? library_path({"libgomp.so.1", "libomp.so.5"}) +
                                ", loaded by a library; tutti's steps run on tutti's own threads"
                          : "not loaded; tutti has its own threads",
                   ""});
  return facts;
}

}  // namespace tutti
