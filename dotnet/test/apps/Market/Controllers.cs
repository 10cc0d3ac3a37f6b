using System.ComponentModel.DataAnnotations;

using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Mvc.Filters;

namespace Market;

public sealed class Fruit
{
    [Range(1, 100)]
    public int Id { get; set; }

    [Required]
    [StringLength(5)]
    public string? Name { get; set; }
}

[ApiController]
[Route("api/[controller]")]
public sealed class FruitController : ControllerBase
{
    [HttpGet]
    public IEnumerable<Fruit> All() => [new() { Id = 1, Name = "apple" }, new() { Id = 2, Name = "fig" }];

    [HttpGet("{id:int}", Name = "fruit")]
    [Stamped]
    public ActionResult<Fruit> One(int id) => id > 2 ? NotFound() : new Fruit { Id = id, Name = "apple" };

    [HttpPost]
    public IActionResult Add(Fruit fruit) => CreatedAtRoute("fruit", new { id = fruit.Id }, fruit);

    [HttpPut("{id:int}")]
    [Consumes("application/xml")]
    [Produces("application/xml")]
    public Fruit Replace(int id, Fruit fruit) => new() { Id = id, Name = fruit.Name };

    [HttpDelete("{id:int}")]
    public IActionResult Remove(int id) => id == 1 ? NoContent() : Problem("no such fruit", statusCode: StatusCodes.Status410Gone);

    [HttpGet("picture")]
    public IActionResult Picture() => new FileStreamResult(new MemoryStream(new byte[5000]), "image/png") { EnableRangeProcessing = true };

    [HttpGet("slow")]
    public async IAsyncEnumerable<Fruit> Slow()
    {
        for (var id = 1; id <= 3; id++)
        {
            await Task.Delay(1);
            yield return new Fruit { Id = id, Name = "plum" };
        }
    }

    [HttpPost("upload")]
    public IActionResult Upload([FromForm] Fruit fruit, IFormFile picture) => Ok($"{fruit.Name} {picture.Length}");

    [HttpGet("throws")]
    public IActionResult Throws() => throw new InvalidOperationException("in an action");
}

public sealed class StampedAttribute : ResultFilterAttribute
{
    public override void OnResultExecuting(ResultExecutingContext context)
        => context.HttpContext.Response.Headers["X-Stamp"] = context.ActionDescriptor.AttributeRouteInfo!.Name;
}
