import com.google.api.client.googleapis.batch.BatchRequest;
import com.google.api.client.googleapis.batch.json.JsonBatchCallback;
import com.google.api.client.googleapis.json.GoogleJsonError;
import com.google.api.client.googleapis.json.GoogleJsonResponseException;
import com.google.api.client.googleapis.services.json.AbstractGoogleJsonClient;
import com.google.api.client.googleapis.services.json.AbstractGoogleJsonClientRequest;
import com.google.api.client.http.HttpHeaders;
import com.google.api.client.http.javanet.NetHttpTransport;
import com.google.api.client.json.GenericJson;
import com.google.api.client.json.gson.GsonFactory;
import java.util.Map;

/** Google's Java client without a generated library: compressed bodies, an error, and a batch. */
public class Client {
  static class Service extends AbstractGoogleJsonClient {
    Service(Builder builder) { super(builder); }
    static class Builder extends AbstractGoogleJsonClient.Builder {
      Builder(String root) {
        super(new NetHttpTransport(), GsonFactory.getDefaultInstance(), root, "", null, false);
        setApplicationName("test").setBatchPath("batch");
      }
      @Override public Service build() { return new Service(this); }
    }
  }
  static class Analyze extends AbstractGoogleJsonClientRequest<GenericJson> {
    Analyze(Service service, String key, String text) {
      super(service, "POST", "v1alpha1/comments:analyze", body(text), GenericJson.class);
      put("key", key);
    }
    static GenericJson body(String text) {
      return new GenericJson().set("comment", Map.of("text", text)).set("requestedAttributes", Map.of("TOXICITY", Map.of()));
    }
  }
  public static void main(String[] args) throws Exception {
    Service service = new Service.Builder(args[0]).build();
    System.out.println("one " + new Analyze(service, args[1], "we met anna").execute());
    try {
      new Analyze(service, args[1], "").execute();
    } catch (GoogleJsonResponseException error) {
      System.out.println("error " + error.getDetails().getMessage());
    }
    BatchRequest batch = service.batch();
    for (String text : new String[] {"we met anna", "", "we met"}) {
      batch.queue(new Analyze(service, args[1], text).buildHttpRequest(), GenericJson.class, GenericJson.class, new com.google.api.client.googleapis.batch.BatchCallback<GenericJson, GenericJson>() {
        @Override public void onSuccess(GenericJson found, HttpHeaders headers) { System.out.println("part " + found.get("attributeScores")); }
        @Override public void onFailure(GenericJson error, HttpHeaders headers) { System.out.println("part " + ((Map<?, ?>) error.get("error")).get("message")); }
      });
    }
    batch.execute();
  }
}
