using System.ComponentModel.DataAnnotations;
using System.Text;

using Microsoft.AspNetCore.Mvc;

namespace Kitchen;

/// <summary>Something to cook.</summary>
public sealed class Dish
{
    public int Id { get; set; }

    [Required]
    [StringLength(20)]
    public string? Name { get; set; }

    [Range(1, 12)]
    public int Servings { get; set; } = 1;
}

[ApiController]
[Route("dishes")]
public sealed class DishesController : ControllerBase
{
    [HttpGet]
    public IEnumerable<Dish> All() => [new Dish { Id = 1, Name = "Soup" }, new Dish { Id = 2, Name = "Crème brûlée" }];

    [HttpGet("{id:int}", Name = "dish")]
    public ActionResult<Dish> One(int id) => id < 3 ? new Dish { Id = id, Name = "Soup" } : NotFound();

    [HttpPost]
    public ActionResult<Dish> Add(Dish dish)
    {
        dish.Id = 7;
        return CreatedAtRoute("dish", new { id = 7 }, dish);
    }

    [HttpPut("{id:int}")]
    public IActionResult Replace(int id, Dish dish) => id == dish.Id ? NoContent() : Conflict();

    [HttpDelete("{id:int}")]
    public IActionResult Remove(int id) => Accepted();

    [HttpGet("card")]
    public IActionResult Card() => File(Encoding.UTF8.GetBytes("A card.\n"), "text/plain", "card ü.txt");

    [HttpGet("ranged")]
    public IActionResult Ranged() => File(Encoding.ASCII.GetBytes("0123456789"), "text/plain", enableRangeProcessing: true);

    [HttpGet("stream")]
    public IActionResult Stream() => File(new MemoryStream(Encoding.ASCII.GetBytes("streamed")), "application/x-dish");

    [HttpGet("large")]
    public IActionResult Large() => PhysicalFile(LargeFile.Path, "application/octet-stream", enableRangeProcessing: true);

    [HttpGet("problem")]
    public IActionResult Trouble() => Problem("It burned.", statusCode: 418, title: "Smoke");

    [HttpGet("content")]
    public IActionResult Text() => Content("žluťoučký kůň", "text/plain; charset=utf-8");

    [HttpGet("async")]
    public async IAsyncEnumerable<int> Numbers()
    {
        for (var number = 0; number < 5; number++)
        {
            await Task.Yield();
            yield return number;
        }
    }

    [HttpGet("throw")]
    public IActionResult Throw() => throw new InvalidOperationException("a controller threw");

    [HttpGet("moved")]
    public IActionResult Moved() => RedirectToRoute("dish", new { id = 1 });

    [HttpGet("query")]
    public object Query([FromQuery] int[] n, [FromQuery] string? text, [FromHeader(Name = "X-Unit")] string? unit)
        => new { n, text, unit };
}
