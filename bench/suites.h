// The problems that rows are made of, as data: the layers of the networks people train here.
#pragma once

#include "kernels/shapes.h"

namespace etude::bench {

struct ConvLayer {
  const char* name;
  Conv2dShape shape;
};

// {n, h, w, c,  k, r, s,  stride,  pad}
inline constexpr ConvLayer conv_layers[] = {
    // ResNet-18 on spectrograms 128 x 256, batch 16
    {"resnet18.conv1", {16, 128, 256, 1, 64, 7, 7, 2, 2, 3, 3}},
    {"resnet18.layer1", {16, 32, 64, 64, 64, 3, 3, 1, 1, 1, 1}},
    {"resnet18.layer2.0", {16, 32, 64, 64, 128, 3, 3, 2, 2, 1, 1}},
    {"resnet18.layer2.0.downsample", {16, 32, 64, 64, 128, 1, 1, 2, 2, 0, 0}},
    {"resnet18.layer2", {16, 16, 32, 128, 128, 3, 3, 1, 1, 1, 1}},
    {"resnet18.layer3.0", {16, 16, 32, 128, 256, 3, 3, 2, 2, 1, 1}},
    {"resnet18.layer3", {16, 8, 16, 256, 256, 3, 3, 1, 1, 1, 1}},
    {"resnet18.layer4.0", {16, 8, 16, 256, 512, 3, 3, 2, 2, 1, 1}},
    {"resnet18.layer4", {16, 4, 8, 512, 512, 3, 3, 1, 1, 1, 1}},
    // the same on 28 x 28 images, batch 64
    {"resnet18.28x28.layer1", {64, 7, 7, 64, 64, 3, 3, 1, 1, 1, 1}},
    {"resnet18.28x28.layer4", {64, 1, 1, 512, 512, 3, 3, 1, 1, 1, 1}},
    // TinyVGG, 10 hidden units, on 28 x 28 images (batch 64) and spectrograms (batch 32)
    {"tinyvgg.28x28.block1.0", {64, 28, 28, 1, 10, 3, 3, 1, 1, 1, 1}},
    {"tinyvgg.28x28.block1.2", {64, 28, 28, 10, 10, 3, 3, 1, 1, 1, 1}},
    {"tinyvgg.28x28.classifier", {64, 1, 1, 490, 10, 1, 1}},
    {"tinyvgg.128x256.block1.2", {32, 128, 256, 10, 10, 3, 3, 1, 1, 1, 1}},
    // pointwise, as in ResNet-50
    {"pointwise.64-256", {8, 56, 56, 64, 256, 1, 1}},
    {"pointwise.256-64", {8, 56, 56, 256, 64, 1, 1}},
};

struct ModelStep {
  const char* model;
  Index batch, height, width, channels;
};

inline constexpr ModelStep model_steps[] = {
    {"tinyvgg", 64, 28, 28, 1},
    {"tinyvgg", 32, 128, 256, 1},
    {"resnet18", 64, 28, 28, 1},
    {"resnet18", 16, 128, 256, 1},
};

}  // namespace etude::bench
