// SPDX-License-Identifier: Apache-2.0
// Do virtual functions work for objects that a kernel constructs in device memory, called by another kernel,
// with the class differing between lanes?
#include "compat.cuh"
#include <new>

struct Shape {
    __device__ virtual ~Shape() {}
    __device__ virtual float area() const = 0;
    __device__ virtual int sides() const { return 0; }
    __device__ virtual void grow(float by) = 0;
};

struct Rectangle : Shape {
    float w, h;
    __device__ Rectangle(float w_, float h_) : w(w_), h(h_) {}
    __device__ float area() const override { return w * h; }
    __device__ int sides() const override { return 4; }
    __device__ void grow(float by) override
    {
        w *= by;
        h *= by;
    }
};

struct Square : Rectangle {
    __device__ explicit Square(float s) : Rectangle(s, s) {}
    __device__ void grow(float by) override
    {
        Rectangle::grow(by);
        w = h = w + 1;
    }
};

struct Disc : Shape {
    float r;
    __device__ explicit Disc(float r_) : r(r_) {}
    __device__ float area() const override { return 3 * r * r; }
    __device__ void grow(float by) override { r *= by; }
};

union Place {
    double align;
    char bytes[48];
};

__global__ void construct(Place *places, Shape **shapes, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    static_assert(sizeof(Rectangle) <= sizeof(Place) && sizeof(Square) <= sizeof(Place), "place too small");
    if (i % 3 == 0)
        shapes[i] = new (&places[i]) Rectangle((float)i, 2);
    else if (i % 3 == 1)
        shapes[i] = new (&places[i]) Square((float)i);
    else
        shapes[i] = new (&places[i]) Disc((float)i);
}

__global__ void use(Shape **shapes, float *areas, int *sides, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n)
        return;
    shapes[i]->grow(2);
    areas[i] = shapes[i]->area();
    sides[i] = shapes[i]->sides();
    shapes[i]->~Shape();
}

int main()
{
    const int n = 200;
    Place *places = device_alloc<Place>(n);
    Shape **shapes = device_alloc<Shape *>(n);
    float *areas = device_alloc<float>(n);
    int *sides = device_alloc<int>(n);
    construct<<<2, 128>>>(places, shapes, n);
    use<<<4, 64>>>(shapes, areas, sides, n);
    CHECK(cudaGetLastError());
    std::vector<float> got = to_host(areas, n);
    std::vector<int> got_sides = to_host(sides, n);
    for (int i = 0; i < n; i++) {
        float side = 2.0f * i + 1, want = i % 3 == 0 ? 8.0f * i : i % 3 == 1 ? side * side : 12.0f * i * i;
        EXPECT(got[i] == want);
        EXPECT(got_sides[i] == (i % 3 == 2 ? 0 : 4));
    }
    printf("areas %016llx\n", (unsigned long long)digest(got));
    return finish("virtual_functions");
}
