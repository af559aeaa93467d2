// Trains a small VGG to tell bright images from dark ones: the library from outside.
#include <cstdio>

#include "engine/optimizer.h"
#include "models/zoo.h"

int main() {
  using namespace etude;
  Generator random(1);
  const auto model = models::make_model("tinyvgg", {.height = 16, .width = 16, .outputs = 2});
  Sgd sgd(*model, {.lr = 0.05, .momentum = 0.9});
  double loss_value = 0;
  for (int step = 0; step < 40; ++step) {
    std::vector<float> pixels(8 * 16 * 16);
    std::vector<std::int64_t> labels(8);
    for (std::size_t i = 0; i < pixels.size(); ++i)
      pixels[i] = static_cast<float>(random.normal() + (labels[i / 256] = i / 256 % 2));
    Tensor loss =
        cross_entropy((*model)(Tensor::from(pixels, {8, 16, 16, 1})), Tensor::from(labels, {8}));
    backward(loss);
    sgd.step();
    sgd.zero_grad();
    loss_value = loss.item();
  }
  std::printf("loss %.4f\n", loss_value);
  return loss_value < 0.1 ? 0 : 1;
}
