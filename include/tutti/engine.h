// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tutti/graph.h"
#include "tutti/session.h"

namespace tutti {

struct Program;

/// Shapes by input name. Inputs whose shapes follow from the others may be left out.
using InputShapes = std::vector<std::pair<std::string, Dims>>;

/// Told what long work does: a few words, and how much of it is done, 0 to 1.
using ProgressCallback = std::function<void(std::string_view what, double done)>;

/// How an engine is built.
struct BuildOptions {
  /// A .safetensors file, its index, a folder of either, or .npz: weights by name. Empty: those
  /// inside the model.
  std::string weights;
  /// Converts floating-point weights to this type. Nothing: each keeps its own, which must be the
  /// graph's.
  std::optional<DType> weights_dtype;
  /// Leaves weights that have no bytes to Engine::load; otherwise they are an error with names.
  bool weights_later = false;
  /// Shapes to plan for. A network without symbolic extents is planned in any case.
  std::vector<InputShapes> shapes;
  /// Inputs that rarely change: what depends on them alone is computed when they do.
  std::vector<std::string> held;
  /// Threads that plans are tuned for, 0: the cores this process may use. Any number runs them.
  int threads = 0;
  /// Ranks that share the work: axes with sizes, "tp=2,cp=4". tp splits heads and hidden
  /// dimensions, cp the sequence, dp the batch. Sessions are bound to as many ranks. Empty: one.
  std::string mesh;
  /// How attention meets keys of other ranks along cp: "ulysses", "gather_kv", "ring", or two with
  /// their sizes, "ulysses:2,ring:2".
  std::string context = "ulysses";
  /// Ranks along dp have requests of their own, instead of parts of one batch. Those that differ in
  /// other axes only must be given the same: that is not checked.
  bool per_rank_inputs = false;
  /// The one rank that plans are made for; -1: all, so that one engine serves every rank.
  int rank = -1;
  /// Values of the graph, by name, that runs give beside the outputs: see Engine::layers.
  std::vector<std::string> watch;
  /// Off: every operator is a step of its own, for comparisons.
  bool fuse = true;
  /// Matrix products and convolutions by "own" kernels, "onednn", or "plain" loops; "auto" or empty
  /// for the fastest.
  /// What oneDNN does not take is run by own kernels.
  std::string matmul;
  /// Called from the building thread.
  ProgressCallback progress;
};

/// Number of ranks of a mesh, as BuildOptions has it; throws invalid_argument for what is none.
int mesh_size(const std::string& mesh, const std::string& context = "ulysses");

/// What one rank of a machine does in a second, with one thread.
struct DeviceProfile {
  double flops_per_s = 8e10;      ///< of products; a multiplication with addition counts two
  double bytes_per_s = 8e9;       ///< of tensors read or written
  double link_bytes_per_s = 4e9;  ///< sent to another rank
  double link_latency_s = 1e-5;   ///< of a collective of few bytes
};

/// Measures this machine, with two ranks as threads; takes a quarter of a second.
DeviceProfile measure_device();

/// A way for ranks to share a network's work, and what its prices say.
struct MeshChoice {
  std::string name;           ///< whatever the sizes: "tp", "cp:ring", "dp+tp", "one rank"
  std::string mesh, context;  ///< as BuildOptions has them; no context without an axis cp
  double seconds = 0;         ///< of a run, by the slowest rank
  double share = 1;           ///< of the products of one rank alone that this rank computes
  size_t sent_bytes = 0, memory_bytes = 0;  ///< of this rank; memory: weights and values alive
  bool fits = true;                         ///< in the memory that each rank may use
};

/// All ways for so many ranks, whatever the network; no prices.
std::vector<MeshChoice> mesh_choices(int ranks);

/// Shapes of all inputs of a model file: those given, or what follows from them, or those of the
/// example that was exported. Throws invalid_argument for a shape that is none of these.
InputShapes example_shapes(const std::string& model_path, const InputShapes& given = {});

/// All ways for so many ranks, for the first of options.shapes, completed by example_shapes; those
/// that fit first, the fastest first. memory_limit: bytes for each rank, 0: any. Throws what
/// Engine::build does of a model.
std::vector<MeshChoice> judge_meshes(const std::string& model_path, int ranks,
                                     const BuildOptions& options = {},
                                     const DeviceProfile& profile = {}, size_t memory_limit = 0);

/// How an engine file is opened.
struct LoadOptions {
  /// Where the weights of a stripped file are now, as in BuildOptions; empty: where they were.
  std::string weights;
  /// Inputs that rarely change. Other ones than in the file: its plans are compiled again.
  std::optional<std::vector<std::string>> held;
  /// Reads all weight bytes and compares their checksums; otherwise only bytes that are copied.
  bool check = false;
  /// Called from the loading thread, where something is compiled or packed again.
  ProgressCallback progress;
};

/// An input or output of an engine.
struct PortInfo {
  std::string name;
  DType dtype = DType::f32;
  Extents shape;        ///< with symbols where it may vary
  bool held = false;    ///< an input declared as rarely changing
  bool present = true;  ///< false for an output that is None
};

/// A tensor that lives in an engine or its sessions.
struct ResidentInfo {
  std::string name;
  DType dtype = DType::f32;
  Extents shape;
  std::string kind;  ///< "bound": a weight; "derived": computed from weights; "carried": state
  size_t bytes = 0;
  bool stored = true;  ///< false without bytes: bound later, or only a packed form is kept
};

/// The compiled program for one set of shapes, of one rank.
struct PlanInfo {
  int rank = 0;
  InputShapes inputs, outputs;
  std::vector<StepInfo> steps;
  size_t activation_bytes = 0;  ///< memory of a session, shared between plans
  size_t held_bytes = 0;        ///< memory of a session, for what held inputs determine
  size_t state_bytes = 0;       ///< of a session's state, of this rank
  size_t weight_bytes = 0;      ///< of weights and what is derived from them, as its steps read
  double network_flops = 0;     ///< StepInfo::flops of all steps, were there one rank
};

/// A value that a layer of the source network gives to others.
struct LayerInfo {
  std::string value, operation, scope;  ///< its name, what makes it, and in which layer
  DType dtype = DType::f32;
  Dims shape;
};

/// Where a value is on the ranks of a mesh.
struct PlacementInfo {
  std::string value, operation, scope;  ///< its name, what makes it, and where that stands
  std::string type;                     ///< of all of it
  std::string placement;                ///< by dimension: "[whole, cp 0:32 | 32:64] sum over tp"
  std::vector<std::string> why;         ///< how it came about, from the last step to the first
};

/// A compiled network: plans, weights, and the graph they came from.
///
/// A handle to something that does not change but for plan(); copies share it, and threads may use
/// it at once.
class Engine {
 public:
  /// Compiles a network made by hand, or a file: a .pt2 of torch.export.save (torch 2.9 or later).
  ///
  /// Throws invalid_argument for missing weights, all at once with the nearest names, and for
  /// weights of another type than the graph's; unsupported for operators that are not known, all
  /// at once; what reading the file throws.
  static Engine build(const GraphBuilder& graph, const BuildOptions& options = {});
  static Engine build(const std::string& model_path, const BuildOptions& options = {});

  /// Opens an engine file. Weights are mapped, not read.
  ///
  /// Throws corrupt naming what contradicts the format, unsupported for a newer version,
  /// not_found for weights of a stripped file that are not where they were.
  static Engine load(const std::string& path, const LoadOptions& options = {});

  /// Writes the engine file, whole or not at all.
  ///
  /// strip: weights that came from a file are referenced by its path and checksums, not stored.
  void save(const std::string& path, bool strip = false) const;

  /// Compiles for these shapes, unless that was done. Sessions made later can run them.
  ///
  /// Throws invalid_argument naming the input, when a shape is none the network takes.
  void plan(const InputShapes& shapes);
  /// True when these shapes are planned.
  bool planned(const InputShapes& shapes) const;

  /// Memory and threads for one caller; 0 threads: the cores this process may use.
  Session session(int threads = 0) const;

  /// The ranks that share its work, as BuildOptions::mesh; empty: one.
  std::string mesh() const;
  /// What runs take and give, in order.
  std::vector<PortInfo> inputs() const;
  std::vector<PortInfo> outputs() const;
  /// Weights, what is derived from them, and state.
  std::vector<ResidentInfo> residents() const;
  /// What was compiled.
  std::vector<PlanInfo> plans() const;

  /// What layers give to each other, in the order of the program, outputs apart: what to watch in
  /// order to compare two engines layer by layer.
  std::vector<LayerInfo> layers(size_t plan = 0) const;

  /// Where values are on the ranks of the mesh that the plan is for, in the order of the program;
  /// nothing without a mesh. With a name: that value only, and why. Worked out anew in each call.
  /// Throws not_found with the nearest names.
  std::vector<PlacementInfo> placements(size_t plan = 0, const std::string& value = {}) const;

  /// The graph that plans are made from: readable, and for Graphviz.
  std::string graph_text() const;
  std::string graph_dot() const;
  /// Number of operators in it.
  size_t graph_nodes() const;

 private:
  friend class Session;
  struct State;
  explicit Engine(std::shared_ptr<State> state);
  static Engine compile(std::shared_ptr<Program> program, const BuildOptions& options);
  std::shared_ptr<State> state_;
};

}  // namespace tutti
