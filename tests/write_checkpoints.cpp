// Writes checkpoints of small trained networks, with an input and the logits they give, for
// fixtures/check_torch_load.py to read in PyTorch and fixtures/check_onnx.py in OpenCV.
//
//   write_checkpoints FOLDER
//
// NAME.safetensors is the state, NAME.onnx the graph (where this build can write it);
// NAME.io.safetensors holds `x` (NCHW) and `logits` (evaluation).
#include <fmt/format.h>

#include <exception>
#include <filesystem>

#include "apps/onnx.h"
#include "data/files.h"
#include "engine/checkpoint.h"
#include "engine/optimizer.h"
#include "models/linear.h"
#include "models/resnet.h"
#include "models/vgg.h"
#include "models/wide_resnet.h"

using namespace etude;

namespace {

constexpr Index height = 36, width = 44, channels = 3, outputs = 5, batch = 4;

Tensor random_images(Generator& generator) {
  std::vector<float> values(batch * height * width * channels);
  for (float& v : values) v = static_cast<float>(generator.normal());
  return Tensor::from(values, {batch, height, width, channels});
}

void write(const std::filesystem::path& folder, const std::string& name, Module& model) {
  Generator generator(1);
  // Two steps, so that the running statistics and the counters are those of a trained network.
  SgdOptions options;
  options.lr = 0.05;
  Sgd optimizer(model, options);
  const Tensor labels = Tensor::from(std::vector<std::int64_t>{0, 1, 2, 3}, {batch});
  for (int i = 0; i < 2; ++i) {
    optimizer.zero_grad();
    backward(cross_entropy(model(random_images(generator)), labels));
    optimizer.step();
  }
  model.train(false);
  const NoGrad no_grad;
  const Tensor x = random_images(generator);
  save_state(folder / (name + ".safetensors"), model.state());
  write_safetensors(folder / (name + ".io.safetensors"),
                    {{"x", to_torch_layout(x, {Layout::filter})}, {"logits", model(x)}});
  if (apps::onnx_available())
    data::write_file(folder / (name + ".onnx"),
                     apps::to_onnx(model, {height, width, channels}, "logits", {}).bytes);
}

models::ResNetOptions resnet(models::ResNetOptions::Block block, std::array<Index, 4> layers,
                             Index stem) {
  models::ResNetOptions o;
  o.block = block;
  o.layers = layers;
  o.channels = channels, o.outputs = outputs, o.width = stem;
  return o;
}

void write_all(const std::filesystem::path& folder) {
  using models::ResNetOptions;
  models::TinyVgg tinyvgg({height, width, channels, outputs, /*hidden=*/10, /*blocks=*/3,
                           /*padding=*/1});
  write(folder, "tinyvgg", tinyvgg);
  models::ResNet resnet18(resnet(ResNetOptions::basic, {2, 2, 2, 2}, 64));
  write(folder, "resnet18", resnet18);
  models::ResNet bottleneck(resnet(ResNetOptions::bottleneck, {1, 2, 1, 1}, 8));
  write(folder, "bottleneck", bottleneck);
  ResNetOptions mer = resnet(ResNetOptions::basic, {1, 1, 1, 1}, 8);
  mer.conv_bias = mer.pool_first = true;
  models::ResNet resnet_mer(mer);
  write(folder, "resnet_mer", resnet_mer);
  models::WideResNet wide({/*depth=*/10, /*widen=*/2, channels, outputs});
  write(folder, "wide_resnet", wide);
  models::Vgg4 vgg4({channels, outputs});
  write(folder, "vgg4", vgg4);
  // Over time, their columns in windows that are not equal, and in equal ones.
  models::Vgg4 vgg4_over_time({channels, /*outputs=*/2, /*steps=*/3});
  write(folder, "vgg4_over_time", vgg4_over_time);
  models::WideResNet wide_over_time({/*depth=*/10, /*widen=*/1, channels, /*outputs=*/2,
                                     /*steps=*/11});
  write(folder, "wide_resnet_over_time", wide_over_time);
  models::ResNetOptions columns = mer;
  columns.outputs = 2, columns.steps = 5;
  models::ResNet resnet_over_time(columns);
  write(folder, "resnet_over_time", resnet_over_time);
  models::LinearModel linear(height, channels, outputs, /*seed=*/0);
  write(folder, "linear", linear);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: write_checkpoints FOLDER\n");
    return 2;
  }
  try {
    write_all(argv[1]);
  } catch (const std::exception& e) {
    fmt::print(stderr, "write_checkpoints: {}\n", e.what());
    return 1;
  }
  return 0;
}
