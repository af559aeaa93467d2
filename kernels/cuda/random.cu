#include "kernels/cuda/cuda.h"
