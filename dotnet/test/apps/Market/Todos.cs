using System.Collections.Concurrent;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Threading.Channels;

using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.OutputCaching;
using Microsoft.Net.Http.Headers;

namespace Market;

public enum Urgency
{
    Whenever,
    Soon,
    Now,
}

public sealed record Todo(int Id, [property: Required, MaxLength(20)] string Title, bool IsDone = false, Urgency Urgency = Urgency.Whenever)
{
    public int Version { get; init; } = 1;
}

/// <summary>Things that are kept in memory, as tutorials keep theirs in a database in memory.</summary>
public sealed class TodoStore
{
    private readonly ConcurrentDictionary<int, Todo> _all = new();
    private int _last;

    public IEnumerable<Todo> All => _all.Values.OrderBy(todo => todo.Id);

    public Todo Add(Todo todo)
    {
        var added = todo with { Id = Interlocked.Increment(ref _last) };
        _all[added.Id] = added;
        return added;
    }

    public Todo? Find(int id) => _all.GetValueOrDefault(id);

    public bool Replace(Todo old, Todo todo) => _all.TryUpdate(old.Id, todo with { Id = old.Id, Version = old.Version + 1 }, old);

    public bool Remove(int id) => _all.TryRemove(id, out _);
}

/// <summary>The work that requests leave to a service in the background.</summary>
public sealed class Errands : BackgroundService
{
    private readonly Channel<string> _queue = Channel.CreateBounded<string>(100);
    private readonly ConcurrentDictionary<string, string> _done = new();

    public ValueTask Send(string name) => _queue.Writer.WriteAsync(name);

    public string? Of(string name) => _done.GetValueOrDefault(name);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await foreach (var name in _queue.Reader.ReadAllAsync(stoppingToken))
        {
            _done[name] = name.ToUpperInvariant();
        }
    }
}

/// <summary>A list of things to do: versions, conditions, pages, validation, caching, work behind.</summary>
internal static class Todos
{
    internal static void AddTodos(this IServiceCollection services)
    {
        services.AddSingleton<TodoStore>();
        services.AddSingleton<Errands>();
        services.AddHostedService(provider => provider.GetRequiredService<Errands>());
        services.ConfigureHttpJsonOptions(options =>
        {
            options.SerializerOptions.Converters.Add(new JsonStringEnumConverter(JsonNamingPolicy.CamelCase));
            options.SerializerOptions.DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault;
        });
        services.AddOutputCache(options =>
        {
            options.AddPolicy("listed", policy => policy.Tag("todos").SetVaryByQuery("page").SetVaryByHeader("X-View"));
        });
    }

    internal static void Map(WebApplication app)
    {
        var group = app.MapGroup("/todos");
        group.MapGet("/", (HttpContext context, TodoStore store, int page = 1, int size = 2) =>
        {
            var count = store.All.Count();
            context.Response.Headers["X-Total-Count"] = count.ToString(CultureInfo.InvariantCulture);
            if (page * size < count)
            {
                context.Response.Headers.Link = $"</todos?page={page + 1}&size={size}>; rel=\"next\"";
            }

            return TypedResults.Ok(store.All.Skip((page - 1) * size).Take(size));
        });
        group.MapGet("/listed", (TodoStore store, string? page) => string.Join(',', store.All.Select(todo => todo.Title)) + page)
            .CacheOutput("listed");
        group.MapPost("/forget", async (IOutputCacheStore cache, CancellationToken aborted) =>
        {
            await cache.EvictByTagAsync("todos", aborted);
            return TypedResults.NoContent();
        });
        group.MapGet("/{id:int}", Find).WithName("todo");
        group.MapPost("/", Add);
        group.MapPut("/{id:int}", Replace);
        group.MapMethods("/{id:int}", ["PATCH"], Change);
        group.MapDelete("/{id:int}", Results<NoContent, NotFound> (TodoStore store, int id)
            => store.Remove(id) ? TypedResults.NoContent() : TypedResults.NotFound());
        group.MapPost("/errands/{name}", async (Errands errands, string name) =>
        {
            await errands.Send(name);
            return TypedResults.Accepted($"/todos/errands/{name}");
        });
        group.MapGet("/errands/{name}", (Errands errands, string name)
            => errands.Of(name) is { } done ? Results.Text(done) : Results.NotFound());
        group.MapPost("/hook", Hook);
        group.MapGet("/feed", Feed);
    }

    private static EntityTagHeaderValue TagOf(Todo todo) => new($"\"{todo.Id}-{todo.Version}\"");

    private static IResult Find(HttpContext context, TodoStore store, int id)
    {
        if (store.Find(id) is not { } todo)
        {
            return Results.Problem($"there is no todo {id}", statusCode: StatusCodes.Status404NotFound);
        }

        var tag = TagOf(todo);
        context.Response.GetTypedHeaders().ETag = tag;
        var known = context.Request.GetTypedHeaders().IfNoneMatch;
        return known.Any(one => one.Compare(tag, useStrongComparison: false)) ? Results.StatusCode(StatusCodes.Status304NotModified) : Results.Ok(todo);
    }

    private static Results<CreatedAtRoute<Todo>, ValidationProblem> Add(HttpContext context, TodoStore store, Todo todo)
    {
        var mistakes = new List<ValidationResult>();
        if (!Validator.TryValidateObject(todo, new ValidationContext(todo), mistakes, validateAllProperties: true))
        {
            return TypedResults.ValidationProblem(mistakes.ToDictionary(one => one.MemberNames.First(), one => new[] { one.ErrorMessage! }));
        }

        var added = store.Add(todo);
        context.Response.GetTypedHeaders().ETag = TagOf(added);
        return TypedResults.CreatedAtRoute(added, "todo", new { id = added.Id });
    }

    private static IResult Replace(HttpContext context, TodoStore store, int id, Todo todo)
    {
        if (store.Find(id) is not { } old)
        {
            return Results.NotFound();
        }

        var wanted = context.Request.GetTypedHeaders().IfMatch;
        if (wanted.Count == 0)
        {
            return Results.Problem("say which version", statusCode: StatusCodes.Status428PreconditionRequired);
        }

        return wanted.Any(one => one.Compare(TagOf(old), useStrongComparison: true)) && store.Replace(old, todo)
            ? Results.NoContent()
            : Results.StatusCode(StatusCodes.Status412PreconditionFailed);
    }

    private static async Task<IResult> Change(HttpRequest request, TodoStore store, int id)
    {
        if (!request.HasJsonContentType())
        {
            return Results.StatusCode(StatusCodes.Status415UnsupportedMediaType);
        }

        using var patch = await JsonDocument.ParseAsync(request.Body, cancellationToken: request.HttpContext.RequestAborted);
        if (store.Find(id) is not { } old)
        {
            return Results.NotFound();
        }

        var isDone = patch.RootElement.TryGetProperty("isDone", out var value) && value.GetBoolean();
        store.Replace(old, old with { IsDone = isDone });
        return Results.Ok(store.Find(id));
    }

    /// <summary>The sender signs the bytes of its body.</summary>
    private static async Task<IResult> Hook(HttpRequest request)
    {
        var body = new MemoryStream();
        await request.BodyReader.CopyToAsync(body);
        var signature = Convert.ToHexString(HMACSHA256.HashData("secret"u8, body.ToArray()));
        return request.Headers["X-Signature"] == signature
            ? Results.Text($"{body.Length} bytes, {request.ContentType}")
            : Results.Json(new { expected = signature }, statusCode: StatusCodes.Status401Unauthorized);
    }

    /// <summary>Events go on behind the one that the client has seen last.</summary>
    private static async Task Feed(HttpContext context, TodoStore store)
    {
        _ = int.TryParse(context.Request.Headers["Last-Event-ID"], CultureInfo.InvariantCulture, out var last);
        context.Response.Headers.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-cache";
        await context.Response.Body.FlushAsync();
        foreach (var todo in store.All.Where(todo => todo.Id > last))
        {
            await context.Response.WriteAsync($"id: {todo.Id}\nevent: todo\ndata: {todo.Title}\n\n", Encoding.UTF8, context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
    }
}
