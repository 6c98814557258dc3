// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "tutti/tutti.h"

// Memory that processes of ranks really hold for weights, as the system tells.
namespace tutti {
namespace {

namespace fs = std::filesystem;

// Bytes of this process in memory: of files whose path contains a word, and of no file.
struct InMemory {
  int64_t of_file = 0, anonymous = 0;

  int64_t both() const { return of_file + anonymous; }
};

InMemory in_memory(const std::string& file) {
  malloc_trim(0);  // what is freed is no weight
  std::ifstream maps("/proc/self/smaps");
  InMemory sum;
  bool counts = false;
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string head;
    int64_t kib = 0;
    words >> head;
    if (head.find('-') != std::string::npos) counts = line.find(file) != std::string::npos;
    if (head == "Rss:" && counts && words >> kib) sum.of_file += 1024 * kib;
    if (head == "Anonymous:" && words >> kib) sum.anonymous += 1024 * kib;
  }
  return sum;
}

// An engine for a rank, with its weights or as if there were none.
using Open = std::function<Engine(int rank, bool with_weights)>;

// What this rank of a job holds for weights after a run.
InMemory held_after_run(const std::string& file, const Open& open) {
  Communicator ranks = join_job();
  // Memory of all but weights stays with the process, and is used again.
  open(ranks.rank(), false);
  const int64_t before = in_memory(file).anonymous;
  const Engine engine = open(ranks.rank(), true);
  const int64_t copies = in_memory(file).anonymous - before;
  Session session = engine.session(1);
  if (ranks.size() > 1) session.bind(ranks);
  const PlanInfo plan = engine.plans()[0];
  TensorMap inputs;
  for (size_t i = 0; i < plan.inputs.size(); ++i)
    inputs[plan.inputs[i].first] = Tensor::zeros(engine.inputs()[i].dtype, plan.inputs[i].second);
  session.run(inputs);
  ranks.barrier("what is held");
  return {in_memory(file).of_file, copies};
}

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(socket, any, bytes) | getsockname(socket, any, &bytes), 0);
  close(socket);
  return ntohs(address.sin_port);
}

void describe_job(int rank, int size, int port) {
  for (const char* name : {"RANK", "LOCAL_RANK"}) setenv(name, std::to_string(rank).c_str(), 1);
  for (const char* name : {"WORLD_SIZE", "LOCAL_WORLD_SIZE"})
    setenv(name, std::to_string(size).c_str(), 1);
  setenv("MASTER_ADDR", "127.0.0.1", 1);
  setenv("MASTER_PORT", std::to_string(port).c_str(), 1);
  setenv("TUTTI_SECRET", "0123456789abcdef", 1);
}

// Of the rank that holds most, each a process of its own.
InMemory most_held(int size, const std::string& file, const Open& open) {
  const int port = free_port();
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  std::vector<pid_t> children;
  for (int rank = 0; rank < size; ++rank) {
    children.push_back(fork());
    if (children.back() != 0) continue;
    if (size > 1) describe_job(rank, size, port);
    const InMemory held = held_after_run(file, open);
    _exit(write(ends[1], &held, sizeof held) == sizeof held ? 0 : 1);
  }
  InMemory most;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    InMemory held;
    if (status == 0) {
      EXPECT_EQ(read(ends[0], &held, sizeof held), ssize_t{sizeof held});
    }
    if (held.both() > most.both()) most = held;
  }
  for (const int end : ends) close(end);
  return most;
}

Engine build(const std::string& mesh, int rank, bool with_weights) {
  const std::string tiny = std::string(TUTTI_SOURCE_DIR) + "/tests/models/flux_tiny/";
  BuildOptions options;
  if (with_weights) options.weights = tiny + "model/transformer";
  options.weights_later = !with_weights;
  options.weights_dtype = DType::f32;
  options.mesh = mesh;
  options.rank = rank;
  options.threads = 1;
  return Engine::build(tiny + "graphs/transformer.pt2", options);
}

// In f32.
constexpr double kWeightBytes = 4 * 5.24e6;

TEST(ResidentWeights, OfAModelAreTheRanksOwn) {
  const std::string file = "diffusion_pytorch_model.safetensors";
  const InMemory one = most_held(1, file, [](int, bool with) { return build("", -1, with); });
  const InMemory four =
      most_held(4, file, [](int rank, bool with) { return build("tp=4", rank, with); });
  EXPECT_GE(one.both(), kWeightBytes);
  EXPECT_LE(four.both(), 0.30 * static_cast<double>(one.both())) << one.both();
}

TEST(ResidentWeights, OfAnEngineFileAreTheRanksOwn) {
  const fs::path folder = fs::temp_directory_path() / ("tutti_" + std::to_string(getpid()));
  fs::create_directories(folder);
  const auto held = [&](int ranks, const std::string& mesh) {
    const std::string path = (folder / ("of_" + mesh + ".tutti")).string();
    build(mesh, -1, true).save(path);
    return most_held(ranks, path, [&](int, bool) { return Engine::load(path); });
  };
  const InMemory one = held(1, ""), four = held(4, "tp=4");
  EXPECT_GE(one.of_file, 0.95 * kWeightBytes);
  EXPECT_LE(four.of_file, 0.30 * static_cast<double>(one.of_file)) << one.of_file;
  // Plans of all ranks, and no weights.
  EXPECT_LE(four.anonymous, 0.06 * kWeightBytes);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace tutti
