using System.ComponentModel.DataAnnotations;
using System.Globalization;

using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Mvc.Filters;

namespace Market;

/// <summary>Says in a header which filters have run, in their order.</summary>
public sealed class TracedAttribute : Attribute, IAsyncAuthorizationFilter, IAsyncResourceFilter, IAsyncActionFilter, IAsyncExceptionFilter, IAsyncAlwaysRunResultFilter
{
    public Task OnAuthorizationAsync(AuthorizationFilterContext context)
    {
        Trace(context, "authorization");
        if (context.HttpContext.Request.Query.ContainsKey("forbidden"))
        {
            context.Result = new StatusCodeResult(StatusCodes.Status403Forbidden);
        }

        return Task.CompletedTask;
    }

    public async Task OnResourceExecutionAsync(ResourceExecutingContext context, ResourceExecutionDelegate next)
    {
        Trace(context, "resource");
        if (context.HttpContext.Request.Query.ContainsKey("short"))
        {
            context.Result = new ContentResult { Content = "cut short", StatusCode = StatusCodes.Status203NonAuthoritative };
            return;
        }

        await next();
    }

    public async Task OnActionExecutionAsync(ActionExecutingContext context, ActionExecutionDelegate next)
    {
        Trace(context, "action");
        await next();
    }

    public async Task OnExceptionAsync(ExceptionContext context)
    {
        await Task.Yield();
        Trace(context, "exception");
        if (context.Exception is TimeoutException)
        {
            context.Result = new ObjectResult(new ProblemDetails { Title = context.Exception.Message, Status = 504 }) { StatusCode = 504 };
        }
    }

    public async Task OnResultExecutionAsync(ResultExecutingContext context, ResultExecutionDelegate next)
    {
        Trace(context, "result");
        await next();
    }

    private static void Trace(FilterContext context, string name) => context.HttpContext.Response.Headers.Append("X-Trace", name);
}

public sealed class Booking : IValidatableObject
{
    [Required]
    [EmailAddress]
    public string? Mail { get; set; }

    [Range(1, 8)]
    public int Seats { get; set; }

    [RegularExpression("^[A-Z]{3}$")]
    public string? Place { get; set; }

    public DateOnly From { get; set; }

    public DateOnly To { get; set; }

    public IEnumerable<ValidationResult> Validate(ValidationContext validationContext)
    {
        if (To < From)
        {
            yield return new ValidationResult("ends before it begins", [nameof(From), nameof(To)]);
        }
    }
}

[ApiController]
[Route("bookings")]
[Traced]
public sealed class BookingsController : ControllerBase
{
    [HttpPost]
    public IActionResult Add(Booking booking) => Created($"/bookings/{booking.Place}", booking);

    [HttpPost("form")]
    public IActionResult AddForm([FromForm] Booking booking) => Ok(booking.Mail);

    [HttpGet]
    public IActionResult Find([FromQuery] Booking booking, [FromHeader(Name = "X-Limit")] int? limit)
        => Ok($"{booking.Place} {booking.Seats.ToString(CultureInfo.InvariantCulture)} {limit}");

    [HttpGet("throws/{kind}")]
    public IActionResult Throws(string kind) => kind == "timeout" ? throw new TimeoutException("too late") : throw new InvalidOperationException("no");

    [HttpGet("async")]
    [ResponseCache(Duration = 60, VaryByHeader = "Accept", Location = ResponseCacheLocation.Any)]
    public async Task<ActionResult<IEnumerable<int>>> Later(CancellationToken aborted)
    {
        await Task.Delay(1, aborted);
        return new[] { 1, 2, 3 };
    }

    [HttpPost("limited")]
    [RequestSizeLimit(100)]
    public async Task<IActionResult> Limited()
    {
        using var reader = new StreamReader(Request.Body);
        return Ok((await reader.ReadToEndAsync()).Length);
    }

    [HttpPost("unlimited")]
    [DisableRequestSizeLimit]
    [Consumes("application/octet-stream", "text/plain")]
    public async Task<IActionResult> Unlimited()
    {
        var body = new MemoryStream();
        await Request.Body.CopyToAsync(body);
        return Ok(body.Length);
    }
}
