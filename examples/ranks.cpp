// SPDX-License-Identifier: Apache-2.0
// A network that PyTorch exported as one program for each of two ranks, on two threads. Processes
// take the communicator of tutti::join_job() instead, and are started by `tutti launch -n 2`.
#include <iostream>

#include "tutti/tutti.h"

int main() {
  tutti::run_ranks(2, [](tutti::Communicator& ranks) {
    const std::string rank = std::to_string(ranks.rank()), folder = "tests/models/tp/tp_block";
    const auto engine = tutti::Engine::build(folder + ".rank" + rank + "of2.pt2");
    auto session = engine.session(1);
    session.bind(ranks);  // compares what the ranks will run before anything runs
    session.run(tutti::load_tensors(folder + ".inputs.safetensors"));
    std::cout << "rank " + rank + " sent " + std::to_string(session.bytes_sent()) + " bytes\n";
  });
}
