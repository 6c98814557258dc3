// SPDX-License-Identifier: Apache-2.0
#include "import/weight_source.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "import/json.h"
#include "import/npy.h"
#include "import/safetensors.h"
#include "import/tensor_file.h"

namespace tutti {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSuffix = ".safetensors";
constexpr std::string_view kIndexSuffix = ".safetensors.index.json";

// Several .safetensors files that are one set of tensors.
class ShardedWeights : public WeightSource {
 public:
  explicit ShardedWeights(std::string path) : path_(std::move(path)) {}

  const std::string& path() const override { return path_; }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    names.reserve(where_.size());
    for (const auto& [name, shard] : where_) names.push_back(name);
    return names;
  }

  std::optional<Tensor> find(std::string_view name) const override {
    const auto found = where_.find(name);
    if (found == where_.end()) return std::nullopt;
    return found->second->find(name);
  }

  using Shard = std::shared_ptr<const SafetensorsFile>;

  void add(std::string name, const Shard& shard) {
    const auto [at, is_new] = where_.emplace(std::move(name), shard);
    require(is_new, Errc::corrupt, path_, ": ", at->first, ": is in ", at->second->path(), " and ",
            shard->path());
  }

 private:
  std::string path_;
  std::map<std::string, Shard, std::less<>> where_;
};

// Tensors that were read from a file as a whole.
class ListedWeights : public WeightSource {
 public:
  ListedWeights(std::string path, std::vector<NamedTensor> tensors) : path_(std::move(path)) {
    for (NamedTensor& tensor : tensors) tensors_.emplace(tensor.name, std::move(tensor.tensor));
  }

  const std::string& path() const override { return path_; }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_) names.push_back(name);
    return names;
  }

  std::optional<Tensor> find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) return std::nullopt;
    return found->second;
  }

 private:
  std::string path_;
  std::map<std::string, Tensor, std::less<>> tensors_;
};

std::shared_ptr<const SafetensorsFile> open_shard(const fs::path& path) {
  return std::make_shared<SafetensorsFile>(MappedFile::open(path));
}

std::shared_ptr<const WeightSource> open_index(const fs::path& path) {
  const auto file = MappedFile::open(path);
  const auto document = JsonDocument::parse(file->bytes(), path);
  auto weights = std::make_shared<ShardedWeights>(path);
  std::map<std::string, ShardedWeights::Shard, std::less<>> shards;
  std::map<std::string_view, std::vector<std::string>> names;
  for (const auto& [name, value] : document->root().at("weight_map").object()) {
    const std::string_view shard_name = value.as_string();
    auto shard = shards.find(shard_name);
    if (shard == shards.end()) {
      if (shard_name.find('/') != std::string_view::npos || !shard_name.ends_with(kSuffix))
        value.refuse(Errc::corrupt, shard_name, " is no .safetensors file beside the index");
      shard = shards.emplace(shard_name, open_shard(path.parent_path() / shard_name)).first;
      names[shard->first] = shard->second->names();
    }
    const auto& has = names[shard->first];
    if (!std::binary_search(has.begin(), has.end(), name))
      value.refuse(Errc::corrupt, shard_name, " has no tensor of that name");
    weights->add(std::string(name), shard->second);
  }
  return weights;
}

std::shared_ptr<const WeightSource> open_folder(const fs::path& path) {
  std::vector<fs::path> files, indices;
  std::error_code error;
  const fs::directory_iterator entries(path, error);
  require(!error, Errc::io, path.string(), ": cannot be listed: ", error.message());
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename();
    if (name.ends_with(kSuffix)) files.push_back(entry.path());
    if (name.ends_with(kIndexSuffix)) indices.push_back(entry.path());
  }
  if (indices.size() == 1) return open_index(indices[0]);
  std::sort(indices.begin(), indices.end());
  require(indices.empty(), Errc::not_found, path.string(),
          ": has several indices of weights, name one of them: ",
          join_list(std::vector<std::string>(indices.begin(), indices.end())));
  require(!files.empty(), Errc::not_found, path.string(), ": has no .safetensors file");
  if (files.size() == 1) return open_shard(files[0]);
  std::sort(files.begin(), files.end());
  auto weights = std::make_shared<ShardedWeights>(path);
  for (const fs::path& file : files) {
    const auto shard = open_shard(file);
    for (std::string& name : shard->names()) weights->add(std::move(name), shard);
  }
  return weights;
}

}  // namespace

std::shared_ptr<const WeightSource> open_weights(const std::string& path) {
  std::error_code none;
  if (fs::is_directory(path, none)) return open_folder(path);
  if (path.ends_with(kIndexSuffix)) return open_index(path);
  if (path.ends_with(kSuffix)) return open_shard(path);
  return std::make_shared<ListedWeights>(path, read_tensors(path));
}

}  // namespace tutti
